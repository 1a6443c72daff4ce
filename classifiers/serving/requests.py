"""What a request asks to be judged, in each of the shapes that are understood."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from classifiers.serving.limits import RequestError, RequestLimits, bad


@dataclass(frozen=True)
class Asked:
    """One pair, or one side of it: `text`, the bytes of a picture's file, or both."""

    text: str | None = None
    picture: bytes | None = None


Fetch = Callable[[str], bytes]
"""The bytes of a picture at an https address. Raises RequestError where none may be fetched."""


def of_moderation(body: object, limits: RequestLimits, fetch: Fetch) -> list[Asked]:
    """The public moderation shape: `input` is a text, a list of texts (each judged by itself), or a list of parts (text and
    image_url) that are judged together. Raises RequestError.
    """
    entries = _field(body, "input")
    if isinstance(entries, str):
        return [Asked(_text(entries, limits))]
    if not isinstance(entries, list) or not entries:
        raise bad("input is a text, a list of texts, or a list of {type: text | image_url} parts")
    if len(entries) > limits.inputs:
        raise bad(f"input has {len(entries)} entries; at most {limits.inputs} are judged in one request")
    if all(isinstance(each, str) for each in entries):
        return [Asked(_text(each, limits)) for each in entries]
    return [_joined([_part(each, limits, fetch) for each in entries], limits)]


def of_judge(body: object, limits: RequestLimits, fetch: Fetch) -> list[Asked]:
    """`{"rows": [{"prompt", "image"}, …]}`, or one such row by itself; `image` is a data: URL. Raises RequestError."""
    rows = body.get("rows", [body]) if isinstance(body, dict) else None
    if not isinstance(rows, list) or not 0 < len(rows) <= limits.inputs:
        raise bad(f'expected {{"prompt", "image"}}, or "rows" with 1 to {limits.inputs} of them')
    return [_row(row, limits, fetch) for row in rows]


def _row(row: object, limits: RequestLimits, fetch: Fetch) -> Asked:
    if not isinstance(row, dict) or not (row.get("prompt") is not None or row.get("image") is not None):
        raise bad("each row has a prompt, an image (a data: URL), or both")
    prompt, image = row.get("prompt"), row.get("image")
    return Asked(
        None if prompt is None else _text(prompt, limits), None if image is None else picture(image, limits, fetch)
    )


def _joined(parts: list[Asked], limits: RequestLimits) -> Asked:
    texts = [part.text for part in parts if part.text is not None]
    pictures = [part.picture for part in parts if part.picture is not None]
    if len(pictures) > 1:
        raise bad(f"input has {len(pictures)} pictures; one is judged with its text in one request")
    return Asked(_text("\n".join(texts), limits) if texts else None, pictures[0] if pictures else None)


def _part(part: object, limits: RequestLimits, fetch: Fetch) -> Asked:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return Asked(_text(_field(part, "text"), limits))
    if kind == "image_url":
        return Asked(picture=picture(_field(_field(part, "image_url"), "url"), limits, fetch))
    raise bad("each part of input has the type text (with text) or image_url (with image_url.url)")


def picture(url: object, limits: RequestLimits, fetch: Fetch) -> bytes:
    """The bytes that a data: URL holds, or that `fetch` gets. Raises RequestError."""
    if not isinstance(url, str):
        raise bad("a picture is given by its url, a text")
    if url[:5].lower() != "data:":
        return fetch(url)
    head, comma, data = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise bad("a data: URL of a picture is data:image/…;base64,…")
    if len(data) > limits.body:
        raise RequestError(413, "too_large", f"a picture has more than {limits.body} bytes")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise bad("the data: URL's base64 is damaged") from None


def _text(value: object, limits: RequestLimits) -> str:
    if not isinstance(value, str):
        raise bad("a text is expected where something else stands")
    if len(value) > limits.characters:
        raise bad(f"a text has {len(value)} characters; at most {limits.characters} are read")
    return value.encode("utf-8", "replace").decode()  # lone surrogates of JSON escapes cannot be tokenised


def _field(holder: object, name: str) -> Any:
    if not isinstance(holder, Mapping) or name not in holder:
        raise bad(f"{name!r} is missing")
    return holder[name]
