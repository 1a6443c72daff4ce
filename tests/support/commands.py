"""Call a command in this process: its line is parsed as a user's is, and signals stay pytest's."""

from types import ModuleType

from jobs.command.parse import Parsed, parse
from jobs.command.run import set_up_logging, status_of


def parsed(module: ModuleType, *arguments: object) -> Parsed:
    """What `jobs/MODULE.py ARGUMENTS` asks for. Raises SystemExit for bad use."""
    functions = getattr(module, "COMMANDS", None) or (module.main,)
    request = parse(functions, f"jobs/{module.__name__.rpartition('.')[2]}.py", [str(word) for word in arguments])
    set_up_logging(request.config)
    return request


def call(module: ModuleType, *arguments: object) -> int:
    """The status of a command, whose errors are raised."""
    request = parsed(module, *arguments)
    return request.function(request.config)


def status(module: ModuleType, *arguments: object) -> int:
    """The status of a command, whose errors are lines on stderr."""
    try:
        request = parsed(module, *arguments)
    except SystemExit as bad_use:
        return int(bad_use.code or 0)
    return status_of(request)
