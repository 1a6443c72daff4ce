"""The app of one run, as an ASGI application: what the routes are, and who may take which."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from classifiers.review_app.exposure import Exposure, ExposureLimits
from classifiers.review_app.gallery_routes import GalleryRoutes
from classifiers.review_app.gallery_table import gallery_table
from classifiers.review_app.gallery_view import GalleryView
from classifiers.review_app.guard import COOKIE, HEADERS, AppCall, Guard
from classifiers.review_app.masking import Reveals
from classifiers.review_app.neighbours import Neighbours
from classifiers.review_app.pages import STATIC, Pages
from classifiers.review_app.people import AppPeople
from classifiers.review_app.review_routes import ReviewRoutes
from classifiers.serving.limits import RequestError
from pipeline.catalogue.views import refresh
from pipeline.rounds.audit_log import entries
from pipeline.storage.store import Store
from pipeline.votes.review_book import ReviewBook

TOKEN_BYTES = 1000  # of the form that is sent with a token


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """What an app is made from."""

    store: Store
    people: AppPeople
    limits: ExposureLimits = field(default_factory=ExposureLimits)
    hosts: frozenset[str] = frozenset()  # names that it answers under, beside those of loopback


@contextmanager
def application(settings: AppSettings) -> Iterator[Starlette]:
    """The app, its table laid out; the table goes away with it. Raises ControlFileError for an audit log that was damaged."""
    store = settings.store
    exposure = Exposure(settings.limits)
    exposure.remember(entries(store))
    refresh(store)
    with gallery_table(store) as table:
        pages, reveals = Pages(Path(store.url).name), Reveals(store, exposure)
        gallery = GalleryRoutes(
            store, table, reveals, Neighbours(store), pages, lambda call, key: reviews.is_given(call, key)
        )
        reviews = ReviewRoutes(store, ReviewBook(store), gallery, reveals, pages)
        reviews.take_up()
        gallery.counted(GalleryView())  # the first page is not the one to wait for it
        guard = Guard(settings.people, settings.hosts, pages.error)
        way_in = WayIn(guard, pages)
        routes = [*way_in.routes(), *gallery_routes(guard, gallery), *review_routes(guard, reviews)]
        yield Starlette(
            routes=[*routes, Mount("/static", StaticFiles(directory=STATIC))],
            middleware=[Middleware(KeepToItself)],
            exception_handlers={HTTPException: way_in.unrouted},
        )


def gallery_routes(guard: Guard, gallery: GalleryRoutes) -> list[Route]:
    """Of those who see the gallery; pictures and reveals also of those who review."""
    look, see, both = guard.page, ("gallery",), ("gallery", "vote")
    return [
        Route("/gallery", look(gallery.index, *see)),
        Route("/sample/{key}", look(gallery.sample, *see)),
        Route("/similar/{key}", look(gallery.similar, *see)),
        Route("/thresholds", look(gallery.thresholds, *see)),
        Route("/map", look(gallery.map, *see)),
        Route("/map.json", look(gallery.map_points, *see)),
        Route("/audit", look(gallery.audit, "audit")),
        Route("/keys.txt", look(gallery.keys, "export")),
        Route("/picture/{key}", look(gallery.picture, *both)),
        Route("/difference/{key}", look(gallery.difference, *see)),
        Route("/reveal", look(gallery.reveal, "unmask"), methods=["POST"]),
        Route("/hide", look(gallery.hide, "unmask"), methods=["POST"]),
    ]


def review_routes(guard: Guard, reviews: ReviewRoutes) -> list[Route]:
    """Of those who lead reviews and those who vote."""
    page = guard.page
    return [
        Route("/reviews", page(reviews.index, "reviews", "vote")),
        Route("/reviews/new", page(reviews.create, "export"), methods=["POST"]),
        Route("/reviews/{name}", page(reviews.vote_page, "vote")),
        Route("/reviews/{name}/next", page(reviews.following, "vote"), methods=["POST"]),
        Route("/reviews/{name}/back", page(reviews.back, "vote"), methods=["POST"]),
        Route("/reviews/{name}/reveal", page(reviews.reveal, "vote"), methods=["POST"]),
        Route("/reviews/{name}/vote", page(reviews.vote, "vote"), methods=["POST"]),
        Route("/reviews/{name}/commit", page(reviews.commit, "export"), methods=["POST"]),
    ]


@dataclass(frozen=True)
class WayIn:
    """The way in: a token, by its address or by a form, for a cookie."""

    guard: Guard
    pages: Pages

    def routes(self) -> list[Route]:
        """Of strangers."""
        first = self.guard.page(self.first)
        return [Route("/", first), Route("/enter", self.enter, methods=["GET", "POST"]), Route("/leave", self.leave)]

    def first(self, call: AppCall) -> Response:
        """Where somebody begins."""
        return RedirectResponse("/gallery" if call.person.may("gallery") else "/reviews", 303)

    async def enter(self, request: Request) -> Response:
        """Exchange a token for the cookie. The next page is asked for by this one, so that a strict cookie goes with it."""
        try:
            self.guard.check_host(request)
            token = request.query_params.get("token") or await _sent_token(request)
            person = self.guard.people.by_token(token)
            if person is None:
                raise RequestError(401, "no_token", "nobody here has that token")
        except RequestError as error:
            return self.pages.error(request, error)
        answer = self.pages.plain("entered", 200, greeted=person.name)
        answer.set_cookie(COOKIE, self.guard.people.session_of(person), httponly=True, samesite="strict", path="/")
        return answer

    async def leave(self, request: Request) -> Response:
        """Forget the cookie."""
        answer = self.pages.plain("stranger", 200, title="Gone", message="You have left.")
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    async def unrouted(self, request: Request, error: Exception) -> Response:
        """No such page, or not by that method."""
        status = getattr(error, "status_code", 404)
        return self.pages.error(request, RequestError(status, "not_found", "there is no such page"))


async def _sent_token(request: Request) -> str:
    """Of the form. Raises RequestError."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > TOKEN_BYTES:
            raise RequestError(413, "too_large", "that is no token")
    return parse_qs(body.decode("utf-8", "replace"), max_num_fields=4).get("token", [""])[0].strip()


class KeepToItself:
    """Headers that keep a page to itself, on whatever is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
