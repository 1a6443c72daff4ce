"""The flags that several commands have: one name, one default, one unit and one text each.

A command's configuration is a frozen dataclass below `Command`. Its fields are the flags: the type is what a flag takes,
`Annotated` holds its help, and a field that is not `Optional` and has no default is required.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from typer import Argument, BadParameter, Option

from jobs.command.plug_in_names import plug_in_names
from schemas.budgets import TOKENS
from schemas.errors import InputError

CLIP = "assets/world/clip"


def fraction(text: str | float) -> float:
    """A number, or two of them with a stroke between: 2/255."""
    if isinstance(text, float):  # a default
        return text
    above, _, below = text.partition("/")
    try:
        value = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise BadParameter(f"{text!r}: expected a number or a fraction such as 2/255") from None
    if not 0 <= value <= 1:
        raise BadParameter(f"{text}: expected pixel units from 0 to 1, such as 2/255")
    return value


def pair(text: str | tuple[int, int]) -> tuple[int, int]:
    """Two whole numbers: 500,150."""
    if isinstance(text, tuple):
        return text
    first, comma, second = text.partition(",")
    if not (comma and first.isdecimal() and second.isdecimal()):
        raise BadParameter(f"{text!r}: expected two whole numbers, as in 500,150")
    return int(first), int(second)


def completed(kind: str) -> Callable[[str], list[str]]:
    """Completes the last name of a list A,B from the plug-ins of a kind."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in plug_in_names(kind) if name.startswith(last)]

    return complete


def named(kind: str, text: str, metavar: str = "A,B", **more: Any) -> Any:
    """An option that takes names of plug-ins, completed in the shell."""
    return Option(metavar=metavar, help=text, autocompletion=completed(kind), **more)


Run = Annotated[str, Argument(metavar="RUN", help="the run's folder or object-store url")]
Workers = Annotated[
    int | None, Option(min=1, metavar="N", help="size of the engine's pool (default: what the machine has room for)")
]
Seed = Annotated[int, Option(metavar="N", help="of everything random")]
_EPSILON = Option(
    parser=fraction, metavar="EPS", show_default="2/255", help="L-infinity budget in [0, 1] pixel units, such as 2/255"
)
Epsilon = Annotated[float, _EPSILON]
EpsilonIfAttacked = Annotated[float | None, _EPSILON]
"""None where it is not given, so that it can be refused where nothing is attacked."""
Aim = Annotated[
    Literal["evade", "false_flag", "both"],
    Option(help="turn what is flagged (evade), what passes (false_flag) or both"),
]
Clip = Annotated[
    str,
    Option(
        metavar="DIR_OR_ID", help="a CLIP, MetaCLIP 2, SigLIP, SigLIP 2 or ALIGN of transformers, or IMAGE_DIR+TEXT_DIR"
    ),
]
TaxonomyFile = Annotated[
    Path | None,
    Option(metavar="FILE", help="categories and policy of your own, .json or .tsv (default: UnsafeBench's eleven)"),
]
Attacks = Annotated[str, named("attacks", "attacks, listed below")]
Digest = Annotated[str | None, Option(metavar="HEX", help="digests of classifiers that this run did not train")]
Start = Annotated[
    str | None,
    Option(
        metavar="MODEL",
        help="trained classifier to take the weights from; embedded: the one that is shipped (default, where there is one of this "
        "kind, encoder and categories); scratch: none",
    ),
]
Replace = Annotated[bool, Option("--replace", help="take the place of a finished classifier of that name")]
AttackSteps = Annotated[int, Option(min=1, metavar="N", help="gradient steps of an attack on pictures")]
_TOKENS = Option(
    min=0, metavar="N", show_default=str(TOKENS), help="words exchanged, or letters rewritten, in a prompt"
)
TokenBudget = Annotated[int, _TOKENS]
TokenBudgetIfAttacked = Annotated[int | None, _TOKENS]
LearningRate = Annotated[float | None, Option(min=0, metavar="RATE", help="of the heads (default: the method's own)")]
TrainingWorkers = Annotated[
    int | None, Option(min=1, metavar="N", help="train on N Ray workers (default: in this process)")
]


@dataclass(frozen=True, kw_only=True)
class Command:
    """What every command takes. `renamed` maps flags of older versions to what to write now."""

    json: Annotated[bool, Option("--json", help="print one summary object as the last line")] = False
    verbose: Annotated[bool, Option("--verbose", "-v", help="say more, on stderr")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="print errors and the answer only")] = False

    renamed: ClassVar[dict[str, str]] = {}
    lists: ClassVar[tuple[str, ...]] = ()
    """Kinds of plug-ins that --help lists."""
    exits: ClassVar[dict[int, str]] = {}
    """What exit statuses mean in this command, beside those of all."""
    resumes: ClassVar[bool] = True
    """Whether the same command goes on where it was stopped; else it starts over."""

    threads: ClassVar[int | None] = None
    """Threads of torch, whoever calls, unless OMP_NUM_THREADS is set; None: as many as cores are free."""

    def __post_init__(self) -> None:
        if self.quiet and self.verbose:
            raise InputError("--quiet and --verbose exclude each other")


@dataclass(frozen=True, kw_only=True)
class LocalCommand(Command):
    """A command that works in this process."""

    engine: Annotated[Literal["local"], Option(help="where the work is done: in this process")] = "local"


@dataclass(frozen=True, kw_only=True)
class ScatteredCommand(Command):
    """A command whose units of work are carried out by an engine."""

    engine: Annotated[Literal["local", "ray"], Option(help="local: this process; ray: a cluster, or one here")] = "ray"
    workers: Workers = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine == "local" and self.workers not in (None, 1):
            raise InputError(f"--workers {self.workers} goes with --engine ray; the local engine is one process")
