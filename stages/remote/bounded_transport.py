"""A client of HTTP whose answers cannot be larger than is said, and that goes to no other host than it was sent to."""

from collections.abc import AsyncIterator
from typing import Any

MAX_ANSWER = 2**27  # bytes: a picture of 8192 x 8192 pixels as PNG, in base64
CONNECT_SECONDS = 10.0


def bounded_client(timeout: float, connections: int) -> Any:
    """An `httpx2.AsyncClient`: no redirects, no proxies or passwords of the environment, answers of at most `MAX_ANSWER` bytes.

    What is packed is refused: a few kilobytes can unpack to gigabytes. Raises InputError without the package.
    """
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        """Raises ReadError, which counts as a broken connection, beyond the bound."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for piece in self.stream:
                seen += len(piece)
                if seen > MAX_ANSWER:
                    raise httpx2.ReadError(f"the answer has more than {MAX_ANSWER} bytes")
                yield piece

        async def aclose(self) -> None:
            await self.stream.aclose()

    class Transport(httpx2.AsyncHTTPTransport):
        """Bounds every answer."""

        async def handle_async_request(self, request: Any) -> Any:
            request.headers["Accept-Encoding"] = "identity"
            response = await super().handle_async_request(request)
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise httpx2.ReadError("the answer is packed, which was not asked for")
            response.stream = Bounded(response.stream)
            return response

    return httpx2.AsyncClient(
        transport=Transport(limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)),
        timeout=httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        follow_redirects=False,
        trust_env=False,
    )
