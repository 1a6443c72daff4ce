"""Pages from templates: whatever comes out of a run is escaped."""

from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import Response

from classifiers.review_app.guard import AppCall, html, json_error
from classifiers.review_app.masking import masked_text
from classifiers.serving.limits import RequestError

FOLDER = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
TITLES = {401: "Who are you?", 403: "Not for you", 404: "Not there", 429: "Enough for now"}


class Pages:
    """Renders templates; every page knows the run's name and who looks at it."""

    def __init__(self, run: str) -> None:
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.environment.filters |= {
            "masked": masked_text,
            "count": lambda number: f"{number:,}".replace(",", "\u202f"),
        }
        self.environment.globals["run"] = run

    def show(self, name: str, call: AppCall, **values: Any) -> Response:
        """A page for somebody who was let in."""
        return html(self.environment.get_template(f"{name}.html").render(person=call.person, **values))

    def plain(self, name: str, status: int, **values: Any) -> Response:
        """A page for anybody: nothing of the run is on it."""
        return html(self.environment.get_template(f"{name}.html").render(**values), status)

    def error(self, request: Request, error: RequestError) -> Response:
        """As a page where a page was asked for, else as JSON."""
        if request.method == "POST" or "text/html" not in request.headers.get("accept", ""):
            return json_error(error)
        title = TITLES.get(error.status, "That did not work")
        return self.plain(
            "stranger" if error.status == 401 else "error", error.status, title=title, message=error.message
        )
