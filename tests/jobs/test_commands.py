"""What all commands promise: how they are called, what their help says, how fast and how they refuse."""

import json
import os
import re
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from classifiers.saved import classifier_names
from jobs.__main__ import command_names
from jobs.command.flags import fraction
from jobs.command.parse import Function, app_of, config_class, parse
from jobs.command.plug_in_names import plug_in_names
from jobs.recipes.named import recipes
from stages.attack.by_name import attack_classes
from stages.label.by_name import labeller_classes
from stages.prompts.published import benchmark_classes

ROOT = Path(__file__).parents[2]
HELP = ROOT / "tests/data/help"
NAMES = command_names()
HEAVY = ("torch", "diffusers", "transformers", "ray", "duckdb", "pyarrow", "numpy")
LONGEST_REFUSAL = 1.5  # seconds of CPU, Python's own start included
OWN_DEFAULT = {
    "port",
    "out",
    "name",
    "samples",
    "epochs",
    "engine",
    "aim",
    "batch",
    "work",
    "attack_steps",
    "attacks",
    "labellers",
    "start",
    "recipe",
    "digest",
}
"""Flags whose default depends on what the command is for."""
OWN_MEANING = {"writer", "classifier", "data"}
"""A kind of classifier where one is trained, a trained one where pictures are judged; a split, or a published set."""


def functions_of(name: str) -> tuple[Function, ...]:
    module: ModuleType = import_module(f"jobs.{name}")
    found: tuple[Function, ...] = getattr(module, "COMMANDS", None) or (module.main,)
    return found


ALL = [(name, function) for name in NAMES for function in functions_of(name)]


def flags_of(function: Function) -> list[Any]:
    """typer's own description of the flags and arguments."""
    command: Any = typer.main.get_command(app_of([function], lambda function, config: None, helps=False))
    found: list[Any] = (command.commands[function.__name__] if function.__name__ != "main" else command).params
    return found


def git_mode(path: Path) -> str | None:
    """The mode that git keeps of a file, and so gives it in every clone; None where there is no git or it keeps no such file."""
    try:
        found = subprocess.run(
            ["git", "ls-files", "--stage", str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.split()[0] if found.stdout else None


def ended(name: str, *arguments: str) -> int:
    """The status that parsing ends with."""
    with pytest.raises(SystemExit) as end:
        parse(functions_of(name), f"jobs/{name}.py", [*arguments])
    return int(end.value.code or 0)


def test_every_command_is_found() -> None:
    assert len(NAMES) >= 17 and {"attack", "evaluate", "generate", "harden", "label", "query", "train"} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_executable_in_every_clone(name: str) -> None:
    path = ROOT / "jobs" / f"{name}.py"
    assert path.read_text().startswith("#!/usr/bin/env python\n")
    assert git_mode(path) in ("100755", None)
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize(("name", "function"), ALL, ids=lambda value: getattr(value, "__name__", value))
def test_help_is_the_one_that_was_agreed_on(
    name: str, function: Function, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a change that is meant: delete tests/data/help, run this twice, and read the difference."""
    monkeypatch.setenv("COLUMNS", "110")
    grouped = function.__name__ != "main"
    assert ended(name, *([function.__name__] if grouped else []), "--help") == 0
    text = capsys.readouterr().out
    file = HELP / f"{name}{'-' + function.__name__ if grouped else ''}.txt"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        pytest.fail(f"{file} was missing and is written now")
    assert text == file.read_text()
    for flag in ("--json", "--engine", "-v, --verbose", "-q, --quiet", "--version", "Exit status"):
        assert flag in text
    assert (ROOT / "jobs" / f"{name}.py").read_text().split('"""')[1].count(f"    jobs/{name}.py") >= 2, "two examples"


@pytest.mark.parametrize(("kind", "names"), [
    ("labellers", labeller_classes), ("attacks", attack_classes), ("classifiers", classifier_names), ("recipes", recipes),
    ("benchmarks", benchmark_classes),
])  # fmt: skip
def test_the_names_that_help_lists_are_those_that_are_found_by_importing(kind: str, names: "type[list[str]]") -> None:
    assert plug_in_names(kind) == tuple(sorted(names()))


def test_one_flag_means_one_thing_in_all_commands() -> None:
    meant: dict[str, tuple[str, object]] = {}
    for name, function in ALL:
        for flag in flags_of(function):
            if flag.param_type_name == "option" and flag.name not in OWN_MEANING:
                what = (str(flag.metavar), flag.default if flag.name not in OWN_DEFAULT else None)
                assert meant.setdefault(flag.name, what)[0] == what[0] or flag.name in OWN_DEFAULT, (name, flag.name)
                if flag.name not in {"epsilon", "token_budget"}:  # None in `train`, where nothing may be attacked
                    assert meant[flag.name][1] == what[1], (name, flag.name)


@pytest.mark.parametrize("name", NAMES)
def test_an_abbreviated_flag_is_refused_in_two_lines(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    functions = functions_of(name)
    words = [] if functions[0].__name__ == "main" else [functions[0].__name__]
    assert ended(name, *words, "--vers") == 2
    error, advice = capsys.readouterr().err.splitlines()
    assert error.startswith("error: No such option: --vers") and advice == f"jobs/{name}.py --help says what it takes"


@pytest.mark.parametrize(("name", "function"), ALL, ids=lambda value: getattr(value, "__name__", value))
def test_a_flag_of_an_older_version_is_told_its_new_name(
    name: str, function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {option for flag in flags_of(function) for option in flag.opts}
    for old, new in config_class(function).renamed.items():
        words = [] if function.__name__ == "main" else [function.__name__]
        assert ended(name, *words, old, "1") == 2 and old not in known
        assert capsys.readouterr().err.startswith(f"error: {old} is no flag any more: {new}")
        assert {*re.findall(r"--[a-z-]+", new)} <= known


def test_nothing_heavy_is_loaded_before_a_command_line_is_refused() -> None:
    script = (
        "import sys\nfrom importlib import import_module\nfrom jobs.__main__ import command_names\n"
        "from jobs.command.parse import parse\n"
        "for name in command_names():\n"
        "    module = import_module(f'jobs.{name}')\n"
        "    try: parse(getattr(module, 'COMMANDS', None) or (module.main,), name, ['--nonsense'])\n"
        "    except SystemExit as end: assert end.code == 2\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_bad_flag_is_refused_at_once() -> None:
    before = os.times()
    start = time.monotonic()
    done = subprocess.run([sys.executable, "jobs/train.py", "--nonsense"], cwd=ROOT, capture_output=True, check=False)
    spent = os.times()
    cpu = spent.children_user + spent.children_system - before.children_user - before.children_system
    assert done.returncode == 2
    assert cpu < LONGEST_REFUSAL, f"{cpu:.2f} s of CPU, {time.monotonic() - start:.2f} s"


@pytest.mark.parametrize(("text", "value"), [("2/255", 2 / 255), ("0.0078", 0.0078), ("0", 0.0), ("1", 1.0)])
def test_a_budget_is_a_number_or_a_fraction(text: str, value: float) -> None:
    assert fraction(text) == value


@pytest.mark.parametrize("text", ["8", "2/0", "-1/255", "2/", "two", "nan", "1e9"])
def test_a_budget_beyond_the_pixels_range_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("attack", "run", "--attacks", "pgd", "--epsilon", text) == 2
    assert "such as 2/255" in capsys.readouterr().err


def test_hazmat_calls_every_command(tmp_path: Path) -> None:
    def hazmat(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "jobs", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    listed = hazmat("--help")
    assert listed.returncode == 0 and all(f"\n  {name} " in listed.stdout for name in NAMES)
    assert hazmat("genrate").returncode == 2
    assert hazmat("verify", "--nonsense").stderr.endswith("hazmat verify --help says what it takes\n")
    made = hazmat(
        "generate", "--out", str(tmp_path), "--recipe", "render", "--count", "2", "--engine", "local", "-q", "--json"
    )
    assert made.returncode == 0 and made.stderr == ""
    assert json.loads(made.stdout)["samples"] == 2, "with --quiet the summary is all there is"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `hazmat` and `python` are this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    for name, words in {"hazmat": "-m jobs", "python": ""}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("hazmat", "gen"), ["generate"]),
        (("hazmat", "attack", "run", "--eps"), ["--epsilon"]),
        (("jobs/label.py", "run", "--labellers", "prompt_truth,scene"), ["prompt_truth,scene_truth"]),
    ],
)
def test_bash_completes_commands_flags_and_names(
    shell: dict[str, str], words: tuple[str, ...], offered: list[str]
) -> None:
    quoted = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _hazmat {words[0]}"
    script = f'eval "$(hazmat completion bash)"\n{asked}\nprintf \'%s\\n\' "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=shell, capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


def test_zsh_is_given_commands_and_flags(shell: dict[str, str]) -> None:
    """What its script evaluates: zsh itself need not be here."""
    for words, offered in (("hazmat gen", "compadd -- generate"), ("hazmat attack run --eps", "--epsilon")):
        asked = shell | {"_TYPER_COMPLETE_ARGS": words, "_HAZMAT_COMPLETE": "complete_zsh"}
        done = subprocess.run(["hazmat"], cwd=ROOT, env=asked, capture_output=True, text=True, check=False)
        assert offered in done.stdout
