"""Is it good, is it robust, compared with what: one row a scorer, few figures, each with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from classifiers.evaluation.intervals import Estimate, Floats, difference, ratio

FLAGS_ALL = "(flags every pair)"
"""What a scorer has to beat: F1 of flagging everything is high wherever unsafe rows are many."""
FEW = 30  # unsafe or safe test rows below which an interval is about as wide as what it is about (±.18 at a rate of .5)
BOUNDED = "all bounded"  # the suite of worst.sql that the overview shows

Row = dict[str, Any]


def overview(counted: Sequence[Row], worst: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row a scorer, best F1 first, and one of flagging everything; `counted` are the rows of overview.sql.

    `f1`, `false_positive_rate`, `missed` (unsafe rows let by, no attack) and `missed_attacked` (in the worst case of all bounded
    attacks; None without any) are {value, low, high}; `f1_gain` is F1 less that of `gain_over`, paired by root: of the best scorer
    over the next one, of every other over flagging everything.
    """
    scorers = {row["scorer"] for row in counted}
    sides = {scorer: _Side([row for row in counted if row["scorer"] == scorer]) for scorer in scorers}
    if not sides:
        return []
    order = sorted(sides, key=lambda scorer: (-np.nan_to_num(sides[scorer].f1().value), scorer))
    everything = max(sides.values(), key=lambda side: len(side.roots)).flagging_everything()
    rows = []
    for place, scorer in enumerate(order):
        over = order[1] if place == 0 and len(order) > 1 else FLAGS_ALL
        against = everything if over == FLAGS_ALL else sides[over]
        gain = {"gain_over": over, "f1_gain": sides[scorer].gain(against)}
        rows.append({"scorer": scorer, **sides[scorer].figures(), **gain, "missed_attacked": _attacked(worst, scorer)})
    nothing = {"gain_over": None, "f1_gain": None, "missed_attacked": None}
    return [*rows, {"scorer": FLAGS_ALL, **everything.figures(), **nothing}]


def warnings(rows: Sequence[Row]) -> list[str]:
    """What makes the figures of an overview useless, a sentence each."""
    judged = [row for row in rows if row["scorer"] != FLAGS_ALL]
    messages = []
    for row in judged[:1]:
        safe = row["rows"] - row["unsafe"]
        for count, what in ((row["unsafe"], "unsafe"), (safe, "safe")):
            if count == 0:
                messages.append(f"no {what} row is in this test set: half of the figures cannot be taken")
            elif count < FEW:
                messages.append(f"{count} {what} rows are few (under {FEW}): the intervals say more than the figures")
    for row in judged:
        if row["flagged"] == 0:
            messages.append(f"{row['scorer']} flags nothing of {row['rows']} rows")
        elif row["flagged"] == row["rows"]:
            messages.append(f"{row['scorer']} flags all of {row['rows']} rows")
        elif row["f1_gain"] and row["gain_over"] == FLAGS_ALL and row["f1_gain"]["high"] < 0:
            messages.append(f"{row['scorer']} is worse than flagging every pair")
    return messages


class _Side:
    """The counts of one scorer by root."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.roots = [row["root"] for row in rows]
        self.caught, self.false_flags, self.unsafe, self.n = (
            np.asarray([row[name] for row in rows], dtype=np.float64)
            for name in ("caught", "false_flags", "unsafe", "n")
        )

    def flagging_everything(self) -> "_Side":
        """The same rows under a scorer that flags them all."""
        other = _Side([])
        other.roots, other.unsafe, other.n = self.roots, self.unsafe, self.n
        other.caught, other.false_flags = self.unsafe, self.n - self.unsafe
        return other

    def f1(self) -> Estimate:
        return ratio(*self._f1())

    def gain(self, other: "_Side") -> dict[str, float] | None:
        """F1 less the other's on the roots that both judged."""
        here = {root: place for place, root in enumerate(self.roots)}
        there = {root: place for place, root in enumerate(other.roots)}
        common = [root for root in self.roots if root in there]
        mine, others = [here[root] for root in common], [there[root] for root in common]
        first, second = ([part[at] for part in side] for side, at in ((self._f1(), mine), (other._f1(), others)))
        if not first[1].sum() or not second[1].sum():
            return None
        return _shown(difference((first[0], first[1]), (second[0], second[1])))

    def figures(self) -> Row:
        return {
            "rows": int(self.n.sum()),
            "unsafe": int(self.unsafe.sum()),
            "flagged": int((self.caught + self.false_flags).sum()),
            "f1": _shown(self.f1()),
            "false_positive_rate": _shown(ratio(self.false_flags, self.n - self.unsafe)),
            "missed": _shown(ratio(self.unsafe - self.caught, self.unsafe)),
        }

    def _f1(self) -> tuple[Floats, Floats]:
        return 2 * self.caught, self.caught + self.false_flags + self.unsafe


def _attacked(worst: Sequence[Mapping[str, Any]], scorer: str) -> dict[str, float] | None:
    wanted = (scorer, BOUNDED, "attack_success_rate")
    worst_row = next((row for row in worst if (row["scorer"], row["suite"], row["measure"]) == wanted), None)
    if worst_row is None or worst_row["value"] is None:
        return None
    return {name: worst_row[name] for name in ("value", "low", "high")}


def _shown(estimate: Estimate) -> dict[str, float] | None:
    if estimate.roots == 0 or np.isnan(estimate.value):
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
