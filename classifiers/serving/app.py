"""The server as an ASGI application: the same under uvicorn and under Ray Serve."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from classifiers.saved import load
from classifiers.serving.batching import Batcher
from classifiers.serving.bodies import read_json
from classifiers.serving.drawing import Drawer, images
from classifiers.serving.limits import RequestError, bad
from classifiers.serving.metrics import Metrics
from classifiers.serving.moderation_shape import judgement, moderation
from classifiers.serving.policies import KeyPolicy, Policies
from classifiers.serving.remote_pictures import fetch
from classifiers.serving.requests import Asked, of_judge, of_moderation
from classifiers.serving.settings import ServeSettings
from classifiers.serving.verdict_log import VerdictLog
from classifiers.serving.verdicts import ServedModels, ServedVerdict, verdict
from pipeline.storage.image_codec import PictureError, extent

DRAWING_AT_ONCE = 4  # requests for pictures that wait
Handler = Callable[[Request, KeyPolicy], Awaitable[Response]]


def application(settings: ServeSettings) -> Starlette:
    """Loads every model before it is returned."""
    server = Server(settings)
    routes = [
        Route("/healthz", server.healthz),
        Route("/metrics", server.guarded(server.metrics_text)),
        Route("/v1/models", server.guarded(server.list_models)),
        Route("/v1/moderations", server.guarded(server.moderations), methods=["POST"]),
        Route("/v1/judge", server.guarded(server.judge), methods=["POST"]),
        Route("/v1/images/generations", server.guarded(server.generations), methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=server.lifespan, exception_handlers={HTTPException: _unrouted})


class Server:
    """What the routes do."""

    def __init__(self, settings: ServeSettings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.judges = ServedModels([load(folder) for folder in settings.models])
        self.name = self.judges.models[0].name
        self.policies = Policies(settings.policies)
        self.drawer = None if settings.generator is None else Drawer(settings.generator, self.judges.models)
        self.metrics = Metrics()
        self.batcher = Batcher(self.judges.judge, self.limits)
        self.log = None if settings.log is None else VerdictLog(Path(settings.log))
        self.drawing = 0
        self.others = ThreadPoolExecutor(4, thread_name_prefix="fetch")

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Ends the threads."""
        yield
        self.batcher.close()
        self.others.shutdown(wait=False, cancel_futures=True)

    def guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind the key; what it raises is answered, timed and counted."""

        async def answer(request: Request) -> Response:
            started = time.perf_counter()
            try:
                response = await handler(request, self.policies.of(request.headers.get("authorization")))
            except RequestError as error:
                response = error_response(error)
            path = request.scope["route"].path if "route" in request.scope else request.url.path
            self.metrics.requests.labels(path, str(response.status_code)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - started)
            return response

        return answer

    async def healthz(self, _: Request) -> Response:
        """Open to all: that it lives, and by what."""
        return JSONResponse({"status": "ok", "models": [model.name for model in self.judges.models]})

    async def metrics_text(self, _: Request, __: KeyPolicy) -> Response:
        """For Prometheus."""
        self.metrics.queue.set(len(self.batcher.waiting))
        return Response(self.metrics.text(), media_type=self.metrics.content_type)

    async def list_models(self, _: Request, __: KeyPolicy) -> Response:
        """In the public shape."""
        rows = [{"id": model.name, "object": "model", "owned_by": "hazmat"} for model in self.judges.models]
        return JSONResponse({"object": "list", "data": rows})

    async def moderations(self, request: Request, policy: KeyPolicy) -> Response:
        """/v1/moderations."""
        requests = await self._asked(request, of_moderation)
        return JSONResponse(moderation(await self.verdicts(requests, policy), self.name))

    async def judge(self, request: Request, policy: KeyPolicy) -> Response:
        """/v1/judge."""
        requests = await self._asked(request, of_judge)
        return JSONResponse({"results": [judgement(each) for each in await self.verdicts(requests, policy)]})

    async def verdicts(self, requests: Sequence[Asked], policy: KeyPolicy) -> list[ServedVerdict]:
        """Of rows, under a policy."""
        for row in requests:
            self._check(row)
        verdicts = [verdict(each, policy) for each in await self.batcher.ask(requests)]
        self.metrics.judged.labels(policy.name).inc(len(verdicts))
        for each in verdicts:
            for name in (name for name, flag in each.flags.items() if flag):
                self.metrics.flagged.labels(policy.name, name).inc()
        if self.log is not None:
            self.log.add(requests, verdicts, policy)
        return verdicts

    async def generations(self, request: Request, _: KeyPolicy) -> Response:
        """/v1/images/generations."""
        if self.drawer is None:
            raise RequestError(404, "no_generator", "this server draws nothing; start it with --generator DIR")
        wanted = self.drawer.wanted(await read_json(request, self.limits), self.limits)
        if self.drawing >= DRAWING_AT_ONCE:
            raise RequestError(429, "overloaded", "pictures are being drawn for others; ask again later")
        self.drawing += 1
        try:
            loop = asyncio.get_running_loop()
            files, refusals = await loop.run_in_executor(self.batcher.thread, self.drawer.draw, wanted)
        finally:
            self.drawing -= 1
        for refusal in refusals:
            if refusal is not None:
                self.metrics.refused.labels(refusal.where).inc()
        return JSONResponse(images(files, refusals, wanted.steps, int(time.time())))

    async def _asked(self, request: Request, read: Callable[..., list[Asked]]) -> list[Asked]:
        body = await read_json(request, self.limits)
        if not self.settings.hosts:  # nothing is fetched, so nothing blocks
            return read(body, self.limits, self._fetch)
        return await asyncio.get_running_loop().run_in_executor(self.others, read, body, self.limits, self._fetch)

    def _fetch(self, url: str) -> bytes:
        return fetch(url, self.settings.hosts, self.limits)

    def _check(self, row: Asked) -> None:
        """Raises RequestError for a picture that is none or too large, by its header, and for a side that nobody reads."""
        self.judges.judges_of(row)
        if row.picture is None:
            return
        try:
            width, height, frames = extent(row.picture)
        except PictureError as error:
            raise bad(f"the picture cannot be read: {error}", "invalid_image") from error
        if width * height * frames > self.limits.pixels or frames > self.limits.frames:
            raise RequestError(
                413,
                "too_large",
                f"the picture has {frames} frames of {width} x {height} pixels; at most {self.limits.frames} frames and "
                f"{self.limits.pixels} pixels in all are judged",
            )


def error_response(error: RequestError) -> JSONResponse:
    """In the public shape of errors."""
    body = {"message": error.message, "type": "invalid_request_error", "code": error.code, "param": None, **error.more}
    headers = {"Retry-After": "1"} if error.status == 429 else {}
    return JSONResponse({"error": body}, error.status, headers)


async def _unrouted(_: Request, error: Any) -> Response:
    return error_response(RequestError(error.status_code, "not_found", str(error.detail)))
