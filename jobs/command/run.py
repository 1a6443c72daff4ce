"""Parse, work, exit: statuses, one-line errors, and what a signal does."""

import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jobs import THREADS_ARE_SET
from jobs.command.flags import Command
from jobs.command.parse import Parsed, parse
from pipeline.engines.stop_signals import end_children, last_line, listen, stopped, stopping
from pipeline.engines.threads import VARIABLE
from schemas.errors import HazmatError, InputError

if TYPE_CHECKING:
    from pipeline.storage.store import Store

DONE, FAILED, BAD_INPUT, QUARANTINED = 0, 1, 2, 3

_log = logging.getLogger("hazmat")


def run_command(*functions: Callable[[Any], int], name: str | None = None, arguments: list[str] | None = None) -> None:
    """Parse the command line into the configuration that a function takes, call it, and exit with its status.

    A function named `main` is the command itself, others are subcommands.
    An expected error is one line on stderr (status 1, or 2 for bad input).
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may be no UTF-8: printing it must not end the run
        sys.stdout.reconfigure(errors="backslashreplace")
    parsed = parse(functions, name, sys.argv[1:] if arguments is None else arguments)
    if parsed.config.threads and not THREADS_ARE_SET:
        os.environ[VARIABLE] = str(parsed.config.threads)
    set_up_logging(parsed.config)
    listen(parsed.words, parsed.config.resumes)
    _log.debug("%s", parsed.config)
    code = status_of(parsed)
    sys.stdout.flush()
    sys.exit(code)


def status_of(parsed: Parsed) -> int:
    """Call the command; what it raises becomes a line on stderr and a status."""
    try:
        return parsed.function(parsed.config)
    except BaseException as error:
        if stopping():
            return _stopped(error)
        if isinstance(error, InputError):
            return _complain(error, BAD_INPUT)
        if isinstance(error, HazmatError):
            return _complain(error, FAILED)
        if isinstance(error, BrokenPipeError):  # the reader of our output went away
            return FAILED
        if isinstance(error, OSError):  # the machine's fault, not ours: a full disk, a lost mount, a missing right
            where = error.filename or "a temporary file"
            text = f"{where}: {error.strerror or error}. Mend that, then run the same command to go on."
            return _complain(text, FAILED)
        if not isinstance(error, Exception):
            raise
        traceback.print_exc()
        return _complain("internal error, please report it with the lines above", FAILED)


def _stopped(error: BaseException) -> int:
    """A signal came: whatever was raised, it is the consequence."""
    _log.debug("raised while stopping: %r", error)
    end_children()
    print(last_line(), file=sys.stderr, flush=True)
    return stopped().status


def _complain(error: object, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def set_up_logging(config: Command) -> None:
    """What is said beside the answer goes through the logger "hazmat": progress at INFO, more at DEBUG."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s", "%H:%M:%S"))
    _log.handlers = [handler]
    _log.propagate = False
    _log.setLevel(logging.DEBUG if config.verbose else logging.WARNING if config.quiet else logging.INFO)


def say(text: str) -> None:
    """A line for people on stdout, unless --quiet."""
    if _log.isEnabledFor(logging.INFO):
        print(text, flush=True)


def warn(text: str) -> None:
    """A line on stderr, --quiet or not: what comes out may be of no use, and why."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def tell_root(store: "Store") -> str:
    """The run's root digest, which every command that writes says: `jobs/verify.py RUN --expect ROOT` proves it later."""
    from pipeline.rounds.ledger import root_digest

    root = root_digest(store)
    say(f"root {root}")
    return root


def report(config: Command, summary: Mapping[str, Any]) -> None:
    """The summary as the last line, with --json."""
    if config.json:
        print(json.dumps(summary), flush=True)
