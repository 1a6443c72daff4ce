"""Many pictures from one OpenAI-compatible `images/generations` address: bounded in number and bytes, retried with backoff."""

import asyncio
import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.storage.image_codec import PictureError, decode
from schemas.errors import HazmatError, InputError
from schemas.refusal import CONTENT_POLICY
from schemas.sample import Pixels
from stages.remote.address import Address
from stages.remote.bounded_transport import bounded_client

READABLE_ANSWERS = (
    3  # times that an answer of status 200 without a picture in it is asked for, before it is the sample's fault
)
REFUSED = ("content_policy", "content_filter", "contentfilter", "moderation", "safety")
"""What codes and types of errors begin with where a guard of the service stopped a request: of OpenAI, Azure, and ours."""
MISCONFIGURED = frozenset({401, 402, 403, 404, 405})
"""Statuses that no other sample will fare better with: the round stops."""


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`fields` are of the public call; `extra` what diffusion servers take beside them."""

    fields: Mapping[str, Any]
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemotePicture:
    """uint8 [height, width, 3], and the tokens that are paid for."""

    pixels: Pixels
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class RemoteRefusal:
    """The service's own guard would not have it; `reason` is a word of ours, never the service's text."""

    reason: str


@dataclass(frozen=True, slots=True)
class RemoteFault:
    """One request failed for good; `reason` repeats nothing of prompt or answer."""

    reason: str


Answer = RemotePicture | RemoteRefusal | RemoteFault


@dataclass(frozen=True, slots=True)
class ImagesClient:
    """Asks with the `openai` client; holds no connection between calls, follows no redirect, sends the key of one variable."""

    address: Address
    concurrency: int
    attempts: int
    timeout: float
    key_variable: str

    async def ask_all(self, requests: Mapping[str, ImageRequest]) -> dict[str, Answer]:
        """The answers by key. Raises HazmatError where no request could do better."""
        openai = openai_library()
        gate = asyncio.Semaphore(self.concurrency)
        async with bounded_client(self.timeout, self.concurrency) as http:
            client = openai.AsyncOpenAI(
                base_url=self.address.url,
                api_key=os.environ.get(self.key_variable) or "none",
                max_retries=self.attempts - 1,
                timeout=self.timeout,
                http_client=http,
            )
            client.organization = client.project = None  # which it would take from the environment, for whatever host

            async def one(key: str, request: ImageRequest) -> Answer:
                async with gate:
                    return await self._ask(client, key, request)

            tasks = [asyncio.create_task(one(key, request)) for key, request in requests.items()]
            try:
                return dict(zip(requests, await asyncio.gather(*tasks), strict=True))
            finally:
                for task in tasks:
                    task.cancel()

    async def _ask(self, client: Any, key: str, request: ImageRequest) -> Answer:
        openai = openai_library()
        reason = ""
        for attempt in range(READABLE_ANSWERS):
            try:
                # A server that knows the header draws a request once, however often its connection breaks.
                headers = {"Idempotency-Key": f"{key}-{attempt}"}
                answer = await client.images.generate(
                    **request.fields, n=1, extra_body=dict(request.extra), extra_headers=headers
                )
                return _picture(answer)
            except openai.APIStatusError as error:
                return self._told(error)
            except openai.APIConnectionError as error:
                cause = type(error.__cause__ or error).__name__
                return RemoteFault(f"{self.attempts} tries failed; the last: {cause}")
            except (openai.APIError, ValueError) as error:  # no JSON, no picture in it, or one that cannot be decoded
                reason = str(error) if isinstance(error, PictureError) else "the body is no answer with a picture"
        return RemoteFault(f"{READABLE_ANSWERS} answers without a picture; the last: {reason}")

    def _told(self, error: Any) -> Answer:
        """What a status means. Raises HazmatError where it says the same of every request."""
        codes = [str(code).lower() for code in (error.code, error.type) if code]
        if any(code.startswith(REFUSED) for code in codes):
            return RemoteRefusal(CONTENT_POLICY)
        status = error.status_code
        if status in MISCONFIGURED or 300 <= status < 400 or "insufficient_quota" in codes:
            raise HazmatError(f"{self.address.url} answers {status}; check URL, model and {self.key_variable}")
        return RemoteFault(
            f"status {status}" + (f" after {self.attempts} tries" if status in (408, 409, 429) or status >= 500 else "")
        )


def _picture(answer: Any) -> RemotePicture:
    """Raises ValueError (PictureError where a picture is damaged) for an answer without one."""
    data = getattr(answer, "data", None)
    encoded = getattr(data[0], "b64_json", None) if isinstance(data, list) and data else None
    if not isinstance(encoded, str):
        raise ValueError("no b64_json in it: pictures behind a further address are not fetched")
    pixels = decode(base64.b64decode(encoded, validate=True))
    usage = getattr(answer, "usage", None)
    return RemotePicture(pixels, *(_count(usage, name) for name in ("input_tokens", "output_tokens")))


def _count(usage: Any, name: str) -> int:
    found = getattr(usage, name, None)
    return found if isinstance(found, int) else 0


def openai_library() -> Any:
    """The official client. Raises InputError where it is not installed."""
    try:
        import openai
    except ImportError as error:
        raise InputError(
            'a generator behind an address needs the package openai: pip install "hazmat[generators]"'
        ) from error
    return openai
