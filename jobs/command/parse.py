"""From a command line to the frozen dataclass that configures a command, by way of typer.

A command is a function of one argument, `config`, whose type is its dataclass. typer makes command lines from signatures, so
each dataclass is shown to it as one.
"""

import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # meant for us, by name
from typer.exceptions import TyperException

from jobs.command.flags import Command
from jobs.command.plug_in_names import listed
from schemas.errors import InputError

COMPLETE = "_HAZMAT_COMPLETE"
"""The variable by which the shell asks for completions."""
EXITS = {
    0: "done",
    1: "it could not go on, or what it checked is wrong",
    2: "bad use or bad input",
    130: "stopped by SIGINT (129 SIGHUP, 143 SIGTERM); the last line says what goes on",
}
WIDTH = 110  # columns of --help at most

Function = Callable[[Any], int]


@dataclass(frozen=True)
class Parsed:
    """What to call with what; `words` are the command as it was typed."""

    function: Function
    config: Command
    words: list[str]


def parse(functions: Sequence[Function], name: str | None, arguments: list[str]) -> Parsed:
    """The configuration that the command line asks for. Prints and exits where it asks for help, or is wrong."""
    own = sys.argv[0] if Path(sys.argv[0]).suffix == ".py" else f"python -m {Path(sys.argv[0]).stem}"
    prog = name or own
    parsed: list[Parsed] = []
    words = [*(name.split() if name else [own]), *arguments]
    helps = bool({"-h", "--help"} & {*arguments}) and COMPLETE not in os.environ
    app = app_of(functions, lambda function, config: parsed.append(Parsed(function, config, words)), helps=helps)
    command = typer.main.get_command(app)
    if COMPLETE in os.environ:
        completion_init()  # typer's shells; it would do so itself if --install-completion were a flag of every command
    try:
        command.main(arguments, prog_name=prog, complete_var=COMPLETE, standalone_mode=False)
    except TyperException as error:
        _refuse(prog, _message(error, functions, arguments))
    except InputError as error:
        _refuse(prog, str(error))
    if not parsed:  # --help and --version have printed
        sys.exit(0)
    return parsed[0]


def app_of(functions: Sequence[Function], take: Callable[[Function, Command], None], *, helps: bool) -> typer.Typer:
    """The typer application of one command, or of a command with subcommands; what only --help shows is made if it `helps`."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}
    for function in functions:
        text = inspect.getdoc(function if _grouped(functions) else inspect.getmodule(function))
        app.command(
            _flag_name(function.__name__),
            help=_for_click(text or ""),
            epilog=_epilog(config_class(function)) if helps else None,
            context_settings=settings,
            no_args_is_help=False,
        )(_as_signature(function, take))
    if _grouped(functions):
        module = inspect.getdoc(inspect.getmodule(functions[0])) or ""
        epilog = _epilog(config_class(functions[0])) if helps else None
        app.callback(help=_for_click(module), epilog=epilog, context_settings=settings)(_nothing)
    return app


def config_class(function: Function) -> type[Command]:
    """The dataclass that a command's function takes."""
    cls: type[Command] = get_type_hints(function)["config"]
    return cls


def _grouped(functions: Sequence[Function]) -> bool:
    return functions[0].__name__ != "main"


def _nothing() -> None:
    """What typer runs before a subcommand."""


def _as_signature(function: Function, take: Callable[[Function, Command], None]) -> Callable[..., None]:
    """A function whose parameters are the fields of the configuration: own ones first, then those of all commands."""
    kind = config_class(function)
    hints = get_type_hints(kind, include_extras=True)
    order = {name: place for place, base in enumerate(kind.__mro__) for name in inspect.get_annotations(base)}
    flags = sorted(fields(kind), key=lambda field: order[field.name])
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in flags
    ]
    shown = typer.Option("--version", is_eager=True, callback=_version, help="print the version")
    parameters.append(
        inspect.Parameter("_v", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, shown])
    )

    def called(**values: Any) -> None:
        values.pop("_v")
        take(function, kind(**values))

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _version(value: bool) -> None:
    if value:
        print(f"hazmat {version('hazmat')}")
        raise typer.Exit


def _message(error: TyperException, functions: Sequence[Function], arguments: list[str]) -> str:
    """One line; a flag of an older version is told its new name."""
    option = getattr(error, "option_name", None)
    for function in functions:
        new = config_class(function).renamed.get(option or "")
        if new and (not _grouped(functions) or _flag_name(function.__name__) in arguments[:1]):
            return f"{option} is no flag any more: {new}"
    return " ".join(error.format_message().split()).replace("Value error, ", "")


def _refuse(prog: str, message: str) -> NoReturn:
    print(f"error: {message}\n{prog} --help says what it takes", file=sys.stderr)
    sys.exit(2)


def _flag_name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _for_click(text: str) -> str:
    """Paragraphs, of which indented ones keep their lines."""
    parts = textwrap.dedent(text).split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith("    ") else part for part in parts)


def _epilog(kind: type[Command]) -> str:
    """Plug-ins, whose names are read from files, and exit statuses."""
    lists = [
        "\b\n" + textwrap.fill(", ".join(listed(kind_of)), 96, initial_indent=f"{kind_of}: ", subsequent_indent="  ")
        for kind_of in kind.lists
    ]
    statuses = sorted((EXITS | kind.exits).items())
    return "\n\n".join([*lists, "\b\nExit status:\n" + "\n".join(f"  {code:<4} {text}" for code, text in statuses)])
