"""Many questions to one OpenAI-compatible `chat/completions` address: bounded, retried."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.errors import HazmatError
from stages.label.installed import imported
from stages.remote.address import Address

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between tries; doubled each time
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
MISCONFIGURED = frozenset({401, 403, 404, 405})
"""Statuses that no other sample will fare better with: the round stops."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, and the tokens that are paid for."""

    text: str
    tokens_in: int
    tokens_out: int


class ReplyError(Exception):
    """One request failed for good; the message names no content."""


class _TryAgainError(Exception):
    def __init__(self, message: str, pause: float | None) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class ChatClient:
    """Asks; holds no connection between calls. Redirects are not followed: they could lead to another host."""

    address: Address
    concurrency: int
    attempts: int
    timeout: float
    max_tokens: int
    key_variable: str
    first_pause: float = FIRST_PAUSE
    temperature: float = 0.0

    async def ask_all(self, questions: Sequence[list[dict[str, Any]]]) -> list[Reply | Exception]:
        """The replies in order; a request that failed for good is its exception. Raises HazmatError where all would fail."""
        aiohttp = imported("aiohttp", "hazmat[labellers]")

        gate = asyncio.Semaphore(self.concurrency)
        key = os.environ.get(self.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limit = aiohttp.ClientTimeout(total=self.timeout)
        async with aiohttp.ClientSession(timeout=limit, headers=headers) as session:

            async def one(messages: list[dict[str, Any]]) -> Reply | Exception:
                async with gate:
                    try:
                        return await self._ask(session, messages)
                    except ReplyError as error:
                        return error

            return list(await asyncio.gather(*(one(messages) for messages in questions)))

    async def _ask(self, session: Any, messages: list[dict[str, Any]]) -> Reply:
        for attempt in range(self.attempts):
            try:
                return await self._once(session, messages)
            except _TryAgainError as error:
                last = error
            if attempt + 1 < self.attempts:
                await asyncio.sleep(min(LONGEST_PAUSE, last.pause or self.first_pause * 2**attempt))
        raise ReplyError(f"{self.attempts} tries failed; the last: {last}")

    async def _once(self, session: Any, messages: list[dict[str, Any]]) -> Reply:
        aiohttp = imported("aiohttp", "hazmat[labellers]")

        body = {"model": self.address.model, "messages": messages, "max_tokens": self.max_tokens}
        body["temperature"] = self.temperature
        try:
            async with session.post(self.address.chat, json=body, allow_redirects=False) as response:
                if response.status in AGAIN:
                    raise _TryAgainError(f"status {response.status}", _seconds(response.headers.get("Retry-After")))
                if response.status in MISCONFIGURED or 300 <= response.status < 400:
                    raise HazmatError(
                        f"{self.address.chat} answers {response.status}; check URL, model and {self.key_variable}"
                    )
                if response.status != 200:
                    raise ReplyError(f"status {response.status}")
                return _reply(await response.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _TryAgainError(type(error).__name__, None) from error
        except ValueError as error:
            raise _TryAgainError("the body is not JSON", None) from error


def _reply(body: Any) -> Reply:
    """Raises ReplyError for a body of another form."""
    try:
        usage = body.get("usage") or {}
        text = body["choices"][0]["message"]["content"]
        return Reply(str(text), int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ReplyError("the body is no chat completion") from error


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdecimal() else None
