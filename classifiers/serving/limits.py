"""How much of anything a request may bring, and how long it may take."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """Every number is a bound that a stranger runs into before memory or patience do."""

    body: int = 2**25  # bytes: a 24 MiB picture as base64
    body_seconds: float = 2.0  # for the whole body: longer is an attack by slowness, on loopback and in a data centre
    inputs: int = 32  # texts or pairs in one request
    characters: int = 2**16  # of one text; CLIP reads 77 tokens
    pixels: int = 2**24  # of all frames of one picture: 4096 x 4096, 48 MiB decoded
    frames: int = 64
    queue: int = 256  # pairs that wait; beyond, 429
    batch: int = 32  # pairs judged at once
    gather: float = 0.002  # seconds that a batch waits for company
    seconds: float = 20.0  # from request to answer
    images: int = 4  # drawn for one request


class RequestError(Exception):
    """A request that is answered with a status and one line; `code` is for programs."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def bad(message: str, code: str = "invalid_request") -> RequestError:
    """400."""
    return RequestError(400, code, message)
