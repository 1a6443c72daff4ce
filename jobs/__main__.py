"""`hazmat generate …`, the console script: every command of jobs/ by the name of its file. Also `python -m jobs`."""

import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from jobs.command import run_command
from jobs.command.completion import complete_in_group, completion_script


def command_names() -> list[str]:
    """The commands: the files of jobs/."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> None:
    """Call the command that the first argument names."""
    names = command_names()
    complete_in_group(names)
    first, rest = sys.argv[1] if len(sys.argv) > 1 else "--help", sys.argv[2:]
    if first in names:
        module = import_module(f"jobs.{first}")
        run_command(*getattr(module, "COMMANDS", None) or (module.main,), name=f"hazmat {first}", arguments=rest)
    elif first in ("--help", "-h"):
        print(f"Usage: hazmat COMMAND …\n\n{help_of(names)}\n\n  completion   print the completion for bash or zsh")
    elif first == "--version":
        print(f"hazmat {version('hazmat')}")
    elif first == "completion" and rest in (["bash"], ["zsh"]):
        print(completion_script(rest[0], names))
    else:
        what = "completion takes bash or zsh" if first == "completion" else f"there is no command {first!r}"
        print(f"error: {what}\nhazmat --help lists the commands", file=sys.stderr)
        sys.exit(2)


def help_of(names: list[str]) -> str:
    """A line a command: the first of its docstring, read without importing it."""
    firsts = {name: Path(__file__).with_name(f"{name}.py").read_text().split('"""')[1].split("\n")[0] for name in names}
    return "\n".join(f"  {name:<12} {text}" for name, text in firsts.items())


if __name__ == "__main__":
    main()
