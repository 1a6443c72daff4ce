"""Run samples one at a time in a child process, because one of them ends the process it runs in.

The child's death names the sample for certain, so a worker that was merely killed from outside never costs one.
Run as `python -m pipeline.engines.isolation`, this file is the child: frames of pickle over its own stdin and stdout.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.stage import BadSamplesError, Stage
from schemas.errors import HazmatError
from schemas.sample import Sample


@dataclass(frozen=True, slots=True)
class Killed:
    """The child died while it worked on the sample."""

    reason: str


@dataclass(frozen=True, slots=True)
class Raised:
    """The step raised on the sample."""

    error: str
    message: str


Result = list[Sample] | Killed | Raised


def isolated(stage: Stage, batch: Sequence[Sample]) -> Iterator[tuple[Sample, Result]]:
    """Yield each sample with what became of it. Raises HazmatError if the stage cannot even be opened in a child."""
    child: subprocess.Popen[bytes] | None = None
    try:
        for sample in batch:
            if child is None:
                child = _start(stage)
            result = _ask(child, sample)
            if isinstance(result, Killed):
                child = None
            yield sample, result
    finally:
        if child is not None:
            child.kill()
            child.wait()


def _start(stage: Stage) -> "subprocess.Popen[bytes]":
    # The child must find the stage's module wherever this process found it; a worker's path is not in its environment.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen(
        [sys.executable, "-m", "pipeline.engines.isolation"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0,  # Ctrl-C is for the command, which ends its child
    )
    answer: Any = None
    with suppress(BrokenPipeError, EOFError):
        _send(_pipe(child.stdin), stage)
        answer = _receive(_pipe(child.stdout))
    if answer != "open":
        child.kill()
        child.wait()
        raise HazmatError(f"{stage.name} could not be opened in a child process to isolate a sample: {answer}")
    return child


def _ask(child: "subprocess.Popen[bytes]", sample: Sample) -> Result:
    try:
        _send(_pipe(child.stdin), sample)
        result: Result = _receive(_pipe(child.stdout))
        return result
    except (BrokenPipeError, EOFError):
        return Killed(_epitaph(child.wait()))


def _epitaph(code: int) -> str:
    if code < 0:
        return f"the process that ran it was ended by {signal.Signals(-code).name}"
    return f"the process that ran it exited with status {code}"


def _pipe(stream: Any) -> BinaryIO:
    assert stream is not None, "Popen was given pipes"
    return stream  # type: ignore[no-any-return]  # Popen types its pipes as optional


def _send(stream: BinaryIO, value: object) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(len(data).to_bytes(8, "little") + data)
    stream.flush()


def _receive(stream: BinaryIO) -> Any:
    header = stream.read(8)
    if len(header) < 8:
        raise EOFError
    data = stream.read(int.from_bytes(header, "little"))
    return pickle.loads(data)


def _child() -> None:
    """Answer one sample at a time until the parent closes the pipe."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not land among the frames
    requests = sys.stdin.buffer
    try:
        step = _receive(requests).open()
    except Exception as error:
        _send(replies, f"{type(error).__name__}: {error}")
        return
    _send(replies, "open")
    while True:
        try:
            sample: Sample = _receive(requests)
        except EOFError:
            return
        result: Result
        try:
            result = list(step([sample]))
        except BadSamplesError as error:
            result = Raised("BadSamplesError", error.reasons.get(sample.key, str(error)))
        except Exception as error:
            result = Raised(type(error).__name__, str(error))
        _send(replies, result)


if __name__ == "__main__":
    # By its name: a `Raised` of `__main__` is none that the parent could unpickle.
    from pipeline.engines import isolation

    isolation._child()
