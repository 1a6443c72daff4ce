"""The body of a request, read within bounds of size and time."""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from classifiers.serving.limits import RequestError, RequestLimits, bad


async def read_json(request: Request, limits: RequestLimits) -> Any:
    """What the body says. Raises RequestError: 413 too large, 408 too slow, 400 no JSON."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limits.body:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > limits.body:
                    raise _too_large(limits)
    except TimeoutError:
        raise RequestError(408, "too_slow", f"the body did not come within {limits.body_seconds:g} s") from None
    except ClientDisconnect:
        raise RequestError(400, "disconnected", "the client went away") from None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise bad("the body is no JSON") from None


def _too_large(limits: RequestLimits) -> RequestError:
    return RequestError(413, "too_large", f"the body has more than {limits.body} bytes")
