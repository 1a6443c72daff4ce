"""The shapes in which Label Studio exports: each read as tasks with annotations, or refused by its name."""

import json
from typing import Any

from schemas.errors import InputError

NO_PART = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "key", "scope", "text", "image")
COCO = {"images", "annotations", "categories"}
HOW = "export from Label Studio as JSON (or JSON-MIN)"


def tasks_of(text: str) -> list[dict[str, Any]]:
    """The tasks of JSON, or of JSON-MIN with the annotations of one item put together. Raises InputError."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the file is not JSON ({str(error)[:200]}); {HOW}, not CSV, TSV or CoNLL") from error
    if isinstance(content, dict) and set(content) >= COCO:
        raise InputError(f"the file is a COCO export, which has boxes and no choices; {HOW}")
    if not isinstance(content, list):
        raise InputError(f"expected a list of tasks, and the file holds {_kind(content)}; {HOW}")
    for number, task in enumerate(content, 1):
        if not isinstance(task, dict):
            raise InputError(f"task {number}: expected an object, and it is {_kind(task)}; {HOW}")
    if any("data" not in task and ("annotation_id" in task or "annotator" in task) for task in content):
        return _of_json_min(content)
    if any(isinstance(task.get("annotations"), int) for task in content):
        raise InputError(f"the file lists tasks with counts of annotations, not the annotations; {HOW}")
    if not any(task.get("annotations") for task in content) and any(task.get("predictions") for task in content):
        raise InputError("the file has models' predictions and no annotation: nobody has voted yet")
    return content


def _of_json_min(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row an annotation, its choices flat. What was cancelled is not in such a file."""
    tasks: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        data = {name: row.get(name) for name in ("key", "scope", "text")}
        task = tasks.setdefault((str(row.get("key")), str(row.get("scope"))), {"data": data, "annotations": []})
        if row.get("annotation_id") is None and row.get("annotator") in (None, ""):
            continue  # an item that nobody has judged is a row too
        parts = [{"from_name": name, "value": _value(name, row[name])} for name in row if name not in NO_PART]
        told = {name: row.get(name) for name in ("created_at", "updated_at", "lead_time")}
        task["annotations"].append({**told, "completed_by": row.get("annotator"), "result": parts})
    return list(tasks.values())


def _value(name: str, value: Any) -> Any:
    """An answer as JSON has it: a single choice or text stands alone, several are an object, anything else a list of objects."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    kind = {"severity": "rating", "reason": "text"}.get(name, "choices")
    if isinstance(value, dict):
        return value
    return {kind: value if kind == "rating" or isinstance(value, list) else [value]}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
