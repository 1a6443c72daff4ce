"""The trained reader as a classifier: weights rounded to half precision, a threshold from clean and from attacked pictures.

`python -m classifiers.training.concept_reader.store --work DIR --out FOLDER`.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from classifiers.layers.calibration import cut_of_safe
from classifiers.layers.concept_reader import ConceptNet
from classifiers.models.concept_reader import ConceptReader, rounded
from classifiers.training.concept_reader.attack import LEVEL, Strength, attacked
from classifiers.training.concept_reader.scenes import draw_prompted, reader_config
from classifiers.training.concept_reader.training import ConceptBatch, as_batch, scores_of
from pipeline.training.process_group import settle
from schemas.taxonomy import UNSAFEBENCH
from stages.world.training.loop import averaged_weights

SEED, ROWS = 90_031, 1536  # pictures of fresh prompts; two in three are safe
CLEAN, ATTACKED = 0.012, 0.06  # of the safe pictures: what the reader may flag of its own, before and after an attack
ATTACK = Strength(least=2 * LEVEL, most=2 * LEVEL, clean=0.0, on_safe=1.0, steps=10)


def calibrated(
    model: ConceptReader, batch: ConceptBatch, *, clean: float = CLEAN, attacked_share: float = ATTACKED
) -> None:
    """The lowest cut that keeps both shares: that of the safe pictures flagged clean, and at 2/255 by ten steps."""
    unsafe = batch.unsafe.float()
    before = scores_of(model.network, batch.pixels)
    after = scores_of(model.network, _moved(model.network, batch))
    model.cut = max(cut_of_safe(before, unsafe, clean), cut_of_safe(after, unsafe, attacked_share))


def _moved(network: ConceptNet, batch: ConceptBatch) -> Tensor:
    generator = torch.Generator().manual_seed(SEED)
    parts = zip(torch.split(batch.pixels, 64), torch.split(batch.unsafe, 64), strict=True)
    return torch.cat([attacked(network, pixels, unsafe, ATTACK, generator) for pixels, unsafe in parts])


def trained(work: Path) -> ConceptNet:
    """The averaged weights of a training, rounded, in eval mode."""
    network = ConceptNet(reader_config())
    network.load_state_dict(averaged_weights(work, "concept_reader"))
    return rounded(network).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=ROWS)
    args = parser.parse_args()
    settle()
    model = ConceptReader(trained(args.work), UNSAFEBENCH.ids, args.out.name)
    calibrated(model, as_batch(draw_prompted(SEED, args.rows), model.network))
    model.save(args.out)
    print(json.dumps({"out": str(args.out), "cut": model.cut, "threshold": model.threshold}))


if __name__ == "__main__":
    main()
