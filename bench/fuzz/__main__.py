#!/usr/bin/env python3
"""Feed mutated inputs to every door: `make fuzz` (1,000,000), or `python -m bench.fuzz --inputs 30000 --door tar --seed 7`.

An input is a failure if anything but a clear error comes of it, the error is longer than 2,000 characters, it takes 30 seconds or
the process grows over 2 GB. Failures are kept in --keep DIR, to become small cases in the tests. Exit status 1 if there are any.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from types import FrameType

from bench.fuzz.doors import EXPECTED, Door, doors
from bench.fuzz.mutations import mutated
from bench.report import report

LONGEST, SECONDS, MEMORY = 2_000, 30.0, 2 << 30  # characters of a message; a door's time for one input; bytes


class TooSlow(BaseException):
    """Not an Exception: no door may swallow it."""


@dataclass(slots=True)
class Campaign:
    """What came of the inputs."""

    inputs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    slowest: float = 0.0

    def figures(self) -> dict[str, object]:
        """For the results."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "inputs": self.inputs.total(), "refused": self.refused.total(), "by_door": dict(self.inputs),
            "slowest_seconds": round(self.slowest, 3),
            "tracebacks": len(self.failures), "failures": self.failures[:50],
            "peak_memory_mb": peak >> 20, "within_memory": peak < MEMORY,
        }  # fmt: skip


def campaign(chosen: Sequence[Door], inputs: int, seed: int, keep: Path | None = None) -> Campaign:
    """`inputs` in all, the same for the same seed, in turn to each door."""
    results = Campaign()
    _warm(chosen)
    was = signal.signal(signal.SIGALRM, _ring)
    try:
        for door, data in _inputs(chosen, inputs, seed):
            with tempfile.TemporaryDirectory(prefix="hazmat-fuzz-") as folder:
                message = _fed(door, data, Path(folder), results)
            if message is not None:
                results.failures.append(
                    {"door": door.name, "input": blake2b(data, digest_size=8).hexdigest(), "what": message}
                )
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{door.name}-{results.failures[-1]['input']}").write_bytes(data)
    finally:
        signal.signal(signal.SIGALRM, was)
    return results


def _warm(chosen: Sequence[Door]) -> None:
    """Whole inputs once, unmeasured: what a door imports is not the input's doing."""
    for door in chosen:
        with tempfile.TemporaryDirectory(prefix="hazmat-fuzz-") as folder:
            door.feed(door.seeds[0], Path(folder))


def _inputs(chosen: Sequence[Door], inputs: int, seed: int) -> Iterator[tuple[Door, bytes]]:
    """Every seed as it is, then mutations."""
    rng = random.Random(seed)
    for number in range(inputs):
        door = chosen[number % len(chosen)]
        turn = number // len(chosen)
        yield door, door.seeds[turn] if turn < len(door.seeds) else mutated(rng.choice(door.seeds), door.seeds, rng)


def _fed(door: Door, data: bytes, folder: Path, results: Campaign) -> str | None:
    """What is wrong with how the door took it, if anything."""
    results.inputs[door.name] += 1
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        door.feed(data, folder)
    except EXPECTED as error:
        results.refused[door.name] += 1
        return None if len(str(error)) <= LONGEST else f"a message of {len(str(error))} characters"
    except TooSlow:
        return f"took {SECONDS:g} seconds"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        results.slowest = max(results.slowest, time.monotonic() - started)
    return None


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--door", action="append", help="only this one (may be given again)")
    parser.add_argument("--keep", type=Path, help="write inputs that failed there")
    args = parser.parse_args()
    chosen = [door for door in doors() if not args.door or door.name in args.door]
    started = time.monotonic()
    results = campaign(chosen, args.inputs, args.seed, args.keep)
    report("fuzz", {**results.figures(), "seed": args.seed, "seconds": round(time.monotonic() - started)})
    return int(bool(results.failures))


if __name__ == "__main__":
    sys.exit(main())
