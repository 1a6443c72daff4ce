"""What every classifier says of every picture, one row each: table 4 and figures 3, 4 are questions to these rows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from classifiers.unsafebench.dataset.images import Picture, tensor_of
from classifiers.unsafebench.judges.remote_judges import ChatJudge
from classifiers.zoo.vlm import Vlm
from schemas.protocols import Inputs, Scorer

BATCH = 64
VERDICTS = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "classifier", "source", "category")),
        ("unsafe", pa.bool_()),  # the label
        ("covered", pa.bool_()),  # the category is one that the classifier claims
        ("score", pa.float64()),  # P(unsafe)
        ("flagged", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What judging took: `seconds` of one core for `pictures`; of the clock, and money, where a service was asked."""

    classifier: str
    pictures: int
    seconds: float
    dollars: float = 0.0

    @property
    def minutes_a_thousand(self) -> float:
        """As section 4.1 counts GPT-4V (50 minutes and 20 dollars)."""
        return self.seconds / 60 * 1000 / max(self.pictures, 1)


@torch.no_grad()
def agreeing(
    target: Vlm, rows: Sequence[dict[str, Any]], pictures: Mapping[str, Picture], side: int
) -> list[dict[str, Any]]:
    """The verdicts that the likelihoods of the two answers share: where they differ, an attack on these would begin at its goal."""
    kept = []
    for first in range(0, len(rows), BATCH):
        part = rows[first : first + BATCH]
        pixels = tensor_of([pictures[row["key"]] for row in part], side)
        logits = target.logits(Inputs(("",) * len(part), pixels))
        kept += [
            row for row, (safe, unsafe) in zip(part, logits.tolist(), strict=True) if row["flagged"] == (unsafe > safe)
        ]
    return kept


def judge(scorer: Scorer, pictures: Sequence[Picture], side: int | None = None) -> tuple[list[dict[str, Any]], Cost]:
    """Rows of `VERDICTS`, in order."""
    claims = set(scorer.coverage.categories)
    rows: list[dict[str, Any]] = []
    service = scorer if isinstance(scorer, ChatJudge) else None
    clock = time.perf_counter if service else time.process_time  # waiting for a service takes no processor
    started, before = clock(), service.dollars if service else 0.0
    for first in range(0, len(pictures), BATCH):
        part = pictures[first : first + BATCH]
        scores = scorer.score(Inputs(tuple(p.text for p in part), tensor_of(part, side))).unsafe["image"].tolist()
        for picture, score in zip(part, scores, strict=True):
            rows.append(
                {
                    "key": picture.key,
                    "classifier": scorer.name,
                    "source": picture.source,
                    "category": picture.category,
                    "unsafe": picture.unsafe,
                    "covered": picture.category in claims,
                    "score": score,
                    "flagged": score > scorer.threshold,
                }
            )
    return rows, Cost(scorer.name, len(pictures), clock() - started, service.dollars - before if service else 0.0)
