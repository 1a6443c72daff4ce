"""What stands before every page: who asks, from where, with how much; and the headers that keep a page to itself."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from classifiers.review_app.people import AppPeople, AppPerson
from classifiers.serving.bodies import read_json
from classifiers.serving.limits import RequestError, RequestLimits
from schemas.errors import HazmatError, InputError

COOKIE = "hazmat_app"
LIMITS = RequestLimits(body=2**18, body_seconds=5.0)
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class AppCall:
    """A request that was let in. `body` is a POST's JSON object."""

    request: Request
    person: AppPerson
    body: Mapping[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def text(self, name: str, longest: int = 2000) -> str:
        """A text of the body. Raises RequestError."""
        value = self.body.get(name, "")
        if not isinstance(value, str) or len(value) > longest:
            raise RequestError(400, "invalid_request", f"{name}: expected a text of at most {longest} characters")
        return value

    def texts(self, name: str, most: int = 1000) -> list[str]:
        """A list of texts of the body. Raises RequestError."""
        value = self.body.get(name, [])
        if not isinstance(value, list) or len(value) > most or not all(isinstance(one, str) for one in value):
            raise RequestError(400, "invalid_request", f"{name}: expected a list of at most {most} texts")
        return [str(one)[:200] for one in value]

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number of the body, None where there is none. Raises RequestError."""
        value = self.body.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high):
            raise RequestError(400, "invalid_request", f"{name}: expected a whole number from {low} to {high}")
        return value


Handler = Callable[[AppCall], Response]
ShowError = Callable[[Request, RequestError], Response]


@dataclass(frozen=True)
class Guard:
    """Lets in who has a cookie of ours and the right that a page asks for."""

    people: AppPeople
    hosts: frozenset[str]
    show_error: ShowError

    def page(self, handler: Handler, *rights: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler, on a thread of its own, for those who have one of these rights (none named: for everybody known)."""

        async def answer(request: Request) -> Response:
            try:
                person = self.known(request)
                if rights and not any(person.may(right) for right in rights):
                    raise RequestError(403, "not_yours", f"an {person.role} may not do this")
                body = await _body(request) if request.method == "POST" else {}
                return await run_in_threadpool(handler, AppCall(request, person, body))
            except RequestError as error:
                return self.show_error(request, error)
            except InputError as error:
                return self.show_error(request, RequestError(400, "invalid_request", str(error)))
            except HazmatError as error:
                return self.show_error(request, RequestError(500, "run", str(error)))

        return answer

    def known(self, request: Request) -> AppPerson:
        """Who it is. Raises RequestError: 421 for another host's name, 403 for another site's page, 401 for a stranger."""
        self.check_host(request)
        if request.method == "POST":
            _check_site(request)
        person = self.people.by_session(request.cookies.get(COOKIE, ""))
        if person is None:
            raise RequestError(401, "no_token", "this page is for those who have a token")
        return person

    def check_host(self, request: Request) -> None:
        """A page under another name is another site that points here (DNS rebinding)."""
        try:
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        except ValueError:
            name = ""
        if name not in self.hosts | LOCAL:
            raise RequestError(421, "wrong_host", "this server does not answer under that name")


def _check_site(request: Request) -> None:
    """A POST comes from a page of ours: SameSite=Strict says so already, and older browsers do not know it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise RequestError(403, "other_site", "this was sent from another site's page")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RequestError(403, "other_site", "this was sent from another site's page")


async def _body(request: Request) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise RequestError(415, "no_json", "send JSON (Content-Type: application/json)")
    found = await read_json(request, LIMITS)
    if not isinstance(found, dict):
        raise RequestError(400, "invalid_request", f"expected an object, and it is {json.dumps(found)[:40]}")
    return found


def json_error(error: RequestError) -> JSONResponse:
    """For scripts."""
    return JSONResponse({"error": error.message, "code": error.code, **error.more}, error.status)


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page."""
    return HTMLResponse(text, status)
