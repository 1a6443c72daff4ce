"""A command that is told to stop (Ctrl-C, Kubernetes, Slurm, a closed terminal) ends within LIMIT seconds and says where it stands.

The first signal raises `Stopped` in the main thread: at once, or after the work of a
`finish_first` block, which has GRACE seconds.
A second signal, or a main thread that has not ended after LIMIT seconds, ends the process and its children there and then.
"""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 5.0
"""Seconds for what is under way to be committed."""
LIMIT = 9.0
"""Seconds from the first signal until the process is ended whatever it does."""


class Stopped(BaseException):
    """A signal asked the command to end. No `except Exception` takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells expect: 128 and the signal."""
        return 128 + self.number


class _StopState:
    """What this process was told, and what it is at; there is one."""

    first: int | None = None
    since: float = 0.0
    depth: int = 0
    standing: str = "what was committed is whole"
    count: Callable[[], str] | None = None
    onward: str = ""
    resumes: bool = True


_state = _StopState()


def listen(command: list[str], resumes: bool) -> None:
    """Take the signals from now on; `command` is what goes on (or, if not `resumes`, starts over) afterwards.

    The wake-up pipe is written by the C handler, so that the watch starts even where the main thread is in a long call.
    """
    _state.onward, _state.resumes = shlex.join(command), resumes
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(reader, True)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # of `nohup`
            signal.signal(number, _told)
    threading.Thread(target=_watch, args=(reader,), name="stop signals", daemon=True).start()


def note_standing(text: str, count: Callable[[], str] | None = None) -> None:
    """What the line at the end says if a signal comes now: "3 of 9 units are committed".

    `count` says it anew, when what was under way has been committed; a second signal does not wait for it.
    """
    _state.standing, _state.count = text, count


def stopping() -> bool:
    """Whether a signal came, so that an error is its consequence."""
    return _state.first is not None


def grace_left() -> float:
    """Seconds that what is under way may still take; 0 where no signal came."""
    return max(0.0, _state.since + GRACE - time.monotonic()) if stopping() else 0.0


def stopped() -> Stopped:
    """The exception of the signal that came."""
    return Stopped(_state.first or signal.SIGTERM)


@contextmanager
def finish_first(drain: bool = False) -> Iterator[None]:
    """A signal that comes inside is obeyed at the end of the block, or after GRACE seconds.

    With `drain` the next block may begin, too, until the grace is over: for a loop over what others finish.
    """
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
    if stopping() and _state.depth == 0 and not (drain and grace_left()):
        raise stopped()


@contextmanager
def keep_handlers() -> Iterator[None]:
    """Put our handlers back after a library has put in its own: Ray's for SIGTERM ends the driver in C++, by abort()."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def last_line() -> str:
    """Where the command stands, and what goes on from there: said when all is done, so that the grace is over, too."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)  # or it would end the process while Python cleans up
        _state.standing = _state.count() if _state.count else _state.standing
    onward = "to go on" if _state.resumes else "to start over"
    return f"stopped by {stopped()}: {_state.standing}; {onward}: {_state.onward}"


def end_children(patience: float = 1.0) -> None:
    """End every process that came from this one."""
    children = psutil.Process().children(recursive=True)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                ask(child)
        _, children = psutil.wait_procs(children, timeout=patience)


def _told(number: int, frame: FrameType | None) -> None:
    if stopping():
        return  # the watch ends the process
    _state.first, _state.since = number, time.monotonic()
    signal.signal(signal.SIGALRM, _grace_is_over)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    if _state.depth == 0:
        raise Stopped(number)


def _grace_is_over(number: int, frame: FrameType | None) -> None:
    if stopping() and _state.depth:
        raise stopped()


def _watch(reader: int) -> None:
    """End the process at the second signal, or LIMIT seconds after the first."""
    first = None
    while first is None:
        first = next((number for number in os.read(reader, 64) if number in SIGNALS), None)
    os.set_blocking(reader, False)
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        with suppress(BlockingIOError):
            if any(number in SIGNALS for number in os.read(reader, 64)):
                break
        time.sleep(0.05)
    _state.first = first
    print(last_line(), file=sys.stderr, flush=True)
    end_children(patience=0.3)
    os._exit(128 + first)
