"""Completion in bash and zsh, of `hazmat` and of `jobs/*.py`: `eval "$(hazmat completion bash)"`.

The shell calls the program itself with a variable set; typer answers from the command line that it is made from.
"""

import os
import sys

from jobs.command.parse import COMPLETE

BASH = """_hazmat() {{
    local IFS=$'\\n'
    COMPREPLY=( $(env COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD=$COMP_CWORD {variable}=complete_bash "$1" 2>/dev/null) )
}}
complete -o default -F _hazmat {programs}"""
ZSH = """_hazmat() {{
    eval "$(env _TYPER_COMPLETE_ARGS="${{words[1,$CURRENT]}}" {variable}=complete_zsh "${{words[1]}}" 2>/dev/null)"
}}
compdef _hazmat {programs}"""


def completion_script(shell: str, names: list[str]) -> str:
    """What the shell evaluates."""
    programs = " ".join(["hazmat", *(f"{name}.py" for name in names)])
    return (BASH if shell == "bash" else ZSH).format(variable=COMPLETE, programs=programs)


def complete_in_group(names: list[str]) -> None:
    """If the shell asks: print the names of commands and exit, or let the command that is named already answer.

    The command sees its own words alone, as if it were called by its file.
    """
    request = os.environ.get(COMPLETE)
    if request is None:
        return
    zsh = request == "complete_zsh"
    words = (os.environ.get("_TYPER_COMPLETE_ARGS" if zsh else "COMP_WORDS", "")).split()
    place = int(os.environ.get("COMP_CWORD", "1")) if not zsh else 2 if len(words) > 2 else 1
    command = words[1] if len(words) > 1 else ""
    ended = zsh and os.environ.get("_TYPER_COMPLETE_ARGS", "").endswith(" ")
    if command in names and (place >= 2 or ended):
        sys.argv[1:] = [command]
        left = [words[0], *words[2:]]
        os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(left), str(place - 1)
        os.environ["_TYPER_COMPLETE_ARGS"] = " ".join(left) + (" " if ended else "")
        return
    fitting = [name for name in [*names, "completion"] if name.startswith(command)]
    print("compadd -- " + " ".join(fitting) if zsh else "\n".join(fitting))
    sys.exit(0)
