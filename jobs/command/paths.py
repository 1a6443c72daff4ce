"""Where a relative `--out` lies."""

import os
from pathlib import Path

from pipeline.storage.store import OBJECT_SCHEMES


def resolve_out(out: str) -> str:
    """`--out` as an absolute path (or an object store's url as it is).

    A job submitted with a working directory runs in a temporary copy of it: a relative path there would be lost with the
    copy, so it is taken below ~/hazmat instead, and the summary says where that is.
    """
    if out.startswith(OBJECT_SCHEMES):
        return out
    here = Path.cwd()
    uploaded = "runtime_resources" in here.parts and "RAY_JOB_ID" in os.environ | {"RAY_JOB_ID": ""}
    return str((Path.home() / "hazmat" / out if uploaded else here / out).absolute())
