"""Every shell block of README, CONTRIBUTING and docs is one that works: all are read by the commands they call, most are run."""

import json
import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs.__main__ import command_names
from tests.support.commands import parsed
from tests.support.declared import run_declared
from tests.support.shell_blocks import COMMAND, FENCE, PAGES, ROOT, ShellBlock, made, shell_blocks

BLOCKS = [block for page in PAGES for block in shell_blocks(page)]
RUN = [block for block in BLOCKS if block.why_not_run is None]
OTHERS = ("git", "pre-commit", "cd", "duckdb", "ray", "export", "source", "eval")
"""Commands that are not ours: they may stand in a block that is not run, or change nothing but the shell."""


def each(blocks: list[ShellBlock]) -> Callable[..., object]:
    return pytest.mark.parametrize("block", blocks, ids=lambda block: f"{block.page}:{block.line}")


def ours(words: list[str]) -> list[list[str]]:
    """The commands of jobs/ behind one line, each as its name and arguments. Raises AssertionError for what nobody knows."""
    if words[0] == "make":
        return [[Path(command[0]).stem, *command[1:]] for command in made(words)]
    if words[0] == "python" and words[1] == "-m":
        assert words[2].startswith("open_clip_train") or find_spec(words[2]), words
        return []
    script = words[1] if words[0] == "python" else words[0]
    if script == "hazmat":
        return [words[1:]]
    if script.startswith("examples/"):
        assert (ROOT / script).is_file(), words
        return []
    if words[0] in OTHERS:
        return []
    assert re.fullmatch(r"jobs/\w+\.py", script) and Path(script).stem in command_names(), words
    return [[Path(script).stem, *words[words.index(script) + 1 :]]]


def test_pages_show_commands_in_blocks_of_bash_alone() -> None:
    for page in PAGES:
        found = COMMAND.search(FENCE.sub("", page.read_text()))
        assert found is None, f"{page.name}: {found and found[0]} … stands in an indented block; write ```bash"
    assert len(BLOCKS) > 20 and len(RUN) >= 4, "and these are found"


@each(BLOCKS)
def test_every_command_shown_is_one_that_its_command_line_takes(block: ShellBlock) -> None:
    for words in block.commands:
        for name, *arguments in ours(words):
            parsed(import_module(f"jobs.{name}"), *arguments)


def test_a_command_that_is_shown_wrong_is_found() -> None:
    for line in (
        "jobs/label.py RUN --judges zero_shot",
        "make shard",
        "jobs/lable.py RUN",
        "jobs/train.py RUN --classifier text --epoch 3",
    ):
        block = ShellBlock("README.md", 1, line, None)
        with pytest.raises(BaseException):  # noqa: B017  # SystemExit of the command line, or make's error
            test_every_command_shown_is_one_that_its_command_line_takes(block)


@each(RUN)
def test_what_is_run_calls_nothing_that_is_not_here(block: ShellBlock) -> None:
    assert not [words for words in block.commands if words[0] in OTHERS and words[0] != "source"], "mark it as not run"


def small(words: list[str], folder: Path) -> list[str]:
    """The same command on a run of a few pictures in `folder`, in this process."""
    name, *arguments = words
    for place, word in enumerate(arguments):
        arguments[place] = re.sub(
            r"\bruns/|^RUN$", lambda found: f"{folder}/{found[0] if found[0] != 'RUN' else 'mine'}", word
        )
        arguments[place] = arguments[place].replace(f"{folder}/runs/", f"{folder}/")
        if word in ("prompts.csv", "keys.parquet", "FILE"):
            arguments[place] = str(folder / word)
        if word == "--count":
            arguments[place + 1] = "12"
    if "--workers" in arguments:  # of Ray, which other tests start
        del arguments[arguments.index("--workers") : arguments.index("--workers") + 2]
    local = name in ("generate", "label", "shards") and "--aggregate" not in arguments
    return [name, *arguments, *(("--engine", "local") if local else ())]


ONE_AFTER_THE_OTHER = """\
import json, sys
from importlib import import_module
from pathlib import Path
import pyarrow.parquet as pq
from jobs.command.parse import parse
folder = Path(sys.argv[1])
for name, arguments in json.loads((folder / "commands.json").read_text()):
    words = [(folder / "FILE").read_text().strip() if word == "KEY" else word for word in arguments]
    module = import_module("jobs." + name)
    request = parse(getattr(module, "COMMANDS", None) or (module.main,), f"jobs/{name}.py", words)
    print("$", name, *words, flush=True)
    if request.function(request.config) != 0:
        sys.exit(1)
    if not (folder / "FILE").exists():
        [rows, *_] = sorted((folder / "mine").glob("rounds/*/raw/*.parquet"))
        (folder / "FILE").write_text(pq.ParquetFile(rows).read(["key"])["key"][0].as_py() + "\\n")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_blocks_of_the_readme_and_the_guides_run_one_after_the_other_with_what_is_declared(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("text\na red apple\na dog on a blue background\n")
    (tmp_path / "driver.py").write_text(ONE_AFTER_THE_OTHER)
    commands = [small(command, tmp_path) for block in RUN for words in block.commands for command in ours(words)]
    (tmp_path / "commands.json").write_text(json.dumps([(name, arguments) for name, *arguments in commands]))
    ran = run_declared(str(tmp_path / "driver.py"), str(tmp_path), timeout=800)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert {"generate", "label", "query", "revoke", "shards", "verify"} <= {name for name, *_ in commands}
