"""An address that prompts or pictures are sent to: this machine, or a host that the operator allows by name."""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from schemas.errors import InputError

ALLOWED_HOSTS = "HAZMAT_ALLOWED_HOSTS"
"""Names the hosts, with commas between, that may be sent to; without it only this machine."""


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is the base that an OpenAI-compatible client takes, without a slash at its end; `model` may be "" for images."""

    url: str
    model: str

    @classmethod
    def of(
        cls, text: str, allowed_hosts: Sequence[str], asker: str = "remote_judge", *, model_needed: bool = True
    ) -> "Address":
        """Read URL#MODEL. Raises InputError, which begins with `asker`, for another form, for a host that is neither this machine
        nor allowed, and for an address with a password or a query in it: addresses stand in files, and keys may not.
        """
        base, _, model = text.partition("#")
        try:
            parts = urlsplit(base)
            right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # brackets that hold no IPv6 address, a port beyond 65,535 or that is no number
            right = False
        if not right or not parts.hostname or (model_needed and not model):
            shown = "URL#MODEL" if model_needed else "URL or URL#MODEL"
            raise InputError(f"{asker}={text}: expected {shown}, such as http://127.0.0.1:8000/v1#NAME")
        if "@" in parts.netloc or parts.query:
            raise InputError(
                f"{asker}: the address of {parts.hostname} has a password or a query; keys come from the environment"
            )
        if not is_this_machine(parts.hostname):
            if parts.hostname not in allowed_hosts:
                raise InputError(
                    f"{asker}: the host {parts.hostname} is not this machine, which prompts and pictures leave only where you say "
                    f"so: {ALLOWED_HOSTS}={parts.hostname}"
                )
            if parts.scheme != "https":
                raise InputError(f"{asker}: {parts.hostname} must be asked over https")
        return cls(base.rstrip("/"), model)

    @property
    def chat(self) -> str:
        """Where questions are sent."""
        return f"{self.url}/chat/completions"


def allowed_hosts() -> tuple[str, ...]:
    """The hosts that the operator allows."""
    return tuple(host.strip() for host in os.environ.get(ALLOWED_HOSTS, "").split(",") if host.strip())


def is_this_machine(host: str) -> bool:
    """Whether it is loopback, by name or number."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
