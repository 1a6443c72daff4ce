"""Rows of many requests judged together, in one thread, behind a queue of a bounded length."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from classifiers.serving.limits import RequestError, RequestLimits, bad
from classifiers.serving.requests import Asked
from classifiers.serving.verdicts import ScopeOpinion
from schemas.errors import InputError

QUEUED_BYTES = 2**28  # of pictures that wait

Judge = Callable[[Sequence[Asked]], list[list[ScopeOpinion]]]


@dataclass(eq=False)
class _QueuedRow:
    asked: Asked
    answer: "asyncio.Future[list[ScopeOpinion]]"

    @property
    def size(self) -> int:
        return len(self.asked.picture or b"")


class Batcher:
    """Whoever asks waits in the queue; as soon as the judge is free, it takes up to `batch` of those that wait."""

    def __init__(self, judge: Judge, limits: RequestLimits) -> None:
        self.judge, self.limits = judge, limits
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self.waiting: deque[_QueuedRow] = deque()
        self.bytes = 0
        self.some = asyncio.Event()
        self.work: asyncio.Task[None] | None = None

    async def ask(self, rows: Sequence[Asked]) -> list[list[ScopeOpinion]]:
        """In the order of the rows. Raises RequestError: 429 where the queue is full, 503 where an answer takes too long."""
        if self.work is None:
            self.work = asyncio.create_task(self._work())
        size = sum(len(row.picture or b"") for row in rows)
        if len(self.waiting) + len(rows) > self.limits.queue or self.bytes + size > QUEUED_BYTES:
            raise RequestError(429, "overloaded", f"{len(self.waiting)} rows wait already; ask again later")
        mine = [_QueuedRow(row, asyncio.get_running_loop().create_future()) for row in rows]
        self.waiting.extend(mine)
        self.bytes += size
        self.some.set()
        try:
            async with asyncio.timeout(self.limits.seconds):
                return list(await asyncio.gather(*(each.answer for each in mine)))
        except TimeoutError:
            raise RequestError(503, "too_slow", f"no answer within {self.limits.seconds:g} s") from None

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.some.wait()
            if len(self.waiting) < self.limits.batch:
                await asyncio.sleep(self.limits.gather)
            taken = [self.waiting.popleft() for _ in range(min(len(self.waiting), self.limits.batch))]
            if not self.waiting:
                self.some.clear()
            self.bytes -= sum(each.size for each in taken)
            alive = [each for each in taken if not each.answer.done()]  # whose asker went away is not judged
            for each, answer in zip(alive, await loop.run_in_executor(self.thread, self._judged, alive), strict=True):
                if each.answer.done():
                    continue
                if isinstance(answer, Exception):
                    each.answer.set_exception(answer)
                else:
                    each.answer.set_result(answer)

    def _judged(self, rows: list[_QueuedRow]) -> list[list[ScopeOpinion] | Exception]:
        """All at once; where one cannot be judged, each by itself, so that it costs nobody else the answer."""
        try:
            return list(self.judge([each.asked for each in rows])) if rows else []
        except InputError as error:
            if len(rows) == 1:
                return [bad(f"the picture cannot be judged: {error}", "invalid_image")]
        except RequestError as error:
            if len(rows) == 1:
                return [error]
        except Exception as error:  # a fault of ours ends one batch, not the server
            return [error] * len(rows)
        return [answer for each in rows for answer in self._judged([each])]

    def close(self) -> None:
        """Wait for nothing."""
        if self.work is not None:
            self.work.cancel()
        self.thread.shutdown(wait=False, cancel_futures=True)
