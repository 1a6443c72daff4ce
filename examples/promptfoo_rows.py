"""promptfoo's rows: its red-team tests in as a table of prompts, a run's rows out as its tests, and a classifier as its assertion.

python examples/promptfoo_rows.py in redteam.yaml prompts.csv     then jobs/generate.py --prompts prompts.csv
python examples/promptfoo_rows.py out runs/mine tests.yaml        then promptfoo eval, `tests: file://tests.yaml`

In promptfoo's configuration, with CLASSIFIER in the environment: `assert: [{type: python, value: file://promptfoo_rows.py}]`.
"""

import csv
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from classifiers.classifier import Classifier
from classifiers.data.labelled_shards import LabelledShards
from classifiers.saved import load
from pipeline.storage.open_store import open_store

COLUMNS = ("id", "prompt", "category", "source")


def prompts_of(file: Path, variable: str = "prompt") -> Iterator[dict[str, str]]:
    """The tests of a redteam.yaml, a tests file, or the results of an eval (JSON), as rows for `--prompts`."""
    content = yaml.safe_load(file.read_text())  # JSON is YAML
    if isinstance(content, dict) and "results" in content:
        tests = [result.get("testCase", result) for result in content["results"]["results"]]
    else:
        tests = content["tests"] if isinstance(content, dict) else content
    for number, test in enumerate(tests, 1):
        text, about = test.get("vars", {}).get(variable), test.get("metadata") or {}
        if not isinstance(text, str) or not text.strip():
            raise SystemExit(f"error: {file}, test {number}: no variable {variable!r} that is a text")
        yield dict(zip(COLUMNS, (str(number), text, str(about.get("pluginId", "")), "promptfoo"), strict=True))


def tests_of(run: str) -> Iterator[dict[str, Any]]:
    """The pairs of a run's test split: what is unsafe has to be refused, what is safe has to be answered."""
    for row in LabelledShards(open_store(run), "test", ("pair",), source="parquet"):
        truth = row.of("pair")
        kind = "is-refusal" if truth.label == "unsafe" else "not-is-refusal"
        yield {
            "description": row.sample.key,
            "vars": {"prompt": row.sample.prompt},
            "assert": [{"type": kind}],
            "metadata": {"label": truth.label, "pluginId": f"hazmat:{(*truth.categories, 'safe')[0]}"},
        }


@cache
def _classifier(folder: str) -> Classifier:
    return load(folder)


def get_assert(output: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """promptfoo calls this: whether CLASSIFIER lets the answer pass, and P(safe). `output` is a text, judged as a prompt."""
    del context
    verdict = _classifier(os.environ["CLASSIFIER"]).predict([output])
    unsafe = float(verdict.unsafe["prompt"][0])
    return {"pass": not bool(verdict.flagged[0]), "score": 1 - unsafe, "reason": f"P(unsafe) {unsafe:.3f}"}


def main(way: str, source: str, target: str) -> None:
    """`in` or `out`."""
    if way == "in":
        with Path(target).open("w", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(prompts_of(Path(source)))
    else:
        Path(target).write_text(yaml.safe_dump([*tests_of(source)], sort_keys=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
