"""What every command shares: exit codes, one-line errors, and where a relative `--out` lies."""

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from pipeline.storage.store import OBJECT_SCHEMES
from schemas.errors import HazmatError, InputError

DONE, FAILED, BAD_INPUT, QUARANTINED = 0, 1, 2, 3


def run_command(command: Callable[[], int]) -> None:
    """Call `command` and exit with its code; an expected error becomes one line on stderr (1, or 2 for bad input)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a file's name may be no UTF-8: printing it must not end the run
    try:
        code = command()
    except InputError as error:
        code = _complain(error, BAD_INPUT)
    except HazmatError as error:
        code = _complain(error, FAILED)
    except KeyboardInterrupt:
        code = _complain("stopped; what was committed is whole. The same command goes on from there.", FAILED)
    except BrokenPipeError:  # the reader of our output went away
        code = FAILED
    except OSError as error:  # the machine's fault, not ours: a full disk, a lost mount, a missing right
        where = error.filename or "a temporary file"
        code = _complain(f"{where}: {error.strerror or error}. Mend that, then run the same command to go on.", FAILED)
    except Exception:
        traceback.print_exc()
        code = _complain("internal error, please report it with the lines above", FAILED)
    sys.stdout.flush()
    sys.exit(code)


def _complain(error: object, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


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


def positive(text: str) -> int:
    """argparse type: an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)
