"""Labelling, training, hardened training and evaluation on the card, and the same commands beside it without."""

import time
from pathlib import Path
from typing import Any

from bench.gpu.job_runs import command
from bench.training import PAIRS_A_ROW, make_run

CLASSIFIER = "multimodal"
EPOCHS = 3


def learning(folder: Path, rows: int, *, beside: bool) -> dict[str, float]:
    """Rows per second of each command; with `beside` also those of a process that sees no card.

    Args:
        folder: Where runs are made.
        rows: Training rows of the run, which is drawn without a model.
        beside: Whether there is a card, so that there is something to compare.
    """
    url = make_run(folder / "learning", round(rows * PAIRS_A_ROW))
    found = _measured(url, "card" if beside else "cpu", on_card=True)
    return found | (_measured(url, "cpu", on_card=False) if beside else {})


def _measured(url: str, where: str, *, on_card: bool) -> dict[str, float]:
    """By `label` and `train` themselves without their imports, by the clock around `evaluate`."""
    # Another field is another round of votes, so that both places label all rows.
    other = f"zero_shot=assets/world/clip,threshold={0.3 if where == 'card' else 0.31}"
    labelled = command("label.py", url, "--labellers", other, "--engine", "local", on_card=on_card)
    name = f"clean-{where}"
    trained = _train(url, name, on_card)
    hardened = _train(url, f"hardened-{where}", on_card, "--adversarial", "both", "--start", name)
    started = time.monotonic()
    command("evaluate.py", url, "--classifiers", name, on_card=on_card)
    judged = time.monotonic() - started
    return {
        f"label_rows_per_second_{where}": round(labelled["labelled_now"] / labelled["seconds"], 1),
        f"train_rows_per_second_{where}": _rate(trained),
        f"hardened_train_rows_per_second_{where}": _rate(hardened),
        f"evaluate_rows_per_second_{where}": round(trained["test"]["n"] / judged, 1),
    }


def _train(url: str, name: str, on_card: bool, *more: str) -> dict[str, Any]:
    facts = ("--classifier", CLASSIFIER, "--name", name, "--epochs", str(EPOCHS), "--patience", "0", "--tune-encoder")
    return command("train.py", url, *facts, *more, on_card=on_card)


def _rate(metrics: dict[str, Any]) -> float:
    rate: float = round(metrics["rows"]["train"] * metrics["epochs"] / metrics["seconds"], 1)
    return rate
