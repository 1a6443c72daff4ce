"""A classifier of your own: the patch of a picture that looks worst decides. To keep it, put the class into
classifiers/models/NAME.py; `jobs/train.py RUN --classifier NAME` trains it then, and every attack knows it.

    python examples/own_classifier.py runs/patches         240 pictures, a training, its verdicts
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from classifiers.classifier import Classifier, Features
from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.layers.encoder import ClipEncoder
from pipeline.storage.local_store import LocalStore
from pipeline.training.loop import TrainingLoop
from schemas.protocols import Inputs
from schemas.taxonomy import UNSAFEBENCH

ROOT = Path(__file__).resolve().parents[1]
EPOCHS, BATCH = 20, 32


class WorstPatch(Classifier):
    """A logit for each of CLIP's patches; the picture's is the largest. Losses, thresholds and `predict` are inherited."""

    kind: ClassVar[str] = "worst_patch"
    reads: ClassVar[frozenset[str]] = frozenset({"image"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(self, encoder: ClipEncoder, categories: tuple[str, ...], name: str) -> None:
        super().__init__(encoder, categories, name)
        width = encoder.hidden[1]
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, 1 + len(categories))
        )

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """What the encoder does; gradients of attacks go through it."""
        return {"patches": self.encoder.patches(self.pictures(inputs))[0]}

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """What the head does: unsafe, and each category."""
        return {"image": self.head(features["patches"]).amax(dim=1)}


def drawn(out: str) -> LocalStore:
    """A run of scenes that are drawn without a model, labelled by what was drawn."""
    for name, *arguments in (
        ("generate", "--out", out, "--recipe", "render", "--count", "240", "--engine", "local"),
        ("label", out, "--labellers", "scene_truth,prompt_truth", "--engine", "local"),
        ("label", out, "--aggregate", "majority"),
        ("shards", out, "--engine", "local"),
    ):
        subprocess.run([sys.executable, ROOT / "jobs" / f"{name}.py", *arguments], check=True)
    return LocalStore(Path(out).absolute())


def train(model: WorstPatch, pictures: LabelledPictures) -> None:
    """Encode once, then epochs over what was kept: the loop is everybody's, the step is three lines."""
    with torch.no_grad():
        features = torch.cat([model.features(inputs)["patches"] for _, inputs in pictures.batches(BATCH)])

    def losses(step: int, rows: Tensor) -> Mapping[str, Tensor]:
        return model.losses_of({"patches": features[rows]}, pictures.targets(rows.tolist(), model.categories))

    loop = TrainingLoop(module=model, optimizer=torch.optim.AdamW(model.head.parameters(), 1e-3), losses=losses)
    order = torch.Generator().manual_seed(0)
    for epoch in range(EPOCHS):
        seen = [
            step["loss"] for _, step in loop.run(torch.split(torch.randperm(len(pictures), generator=order), BATCH))
        ]
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {sum(seen) / len(seen):.3f}")


def main(out: str) -> None:
    """Train, set the threshold on validation, judge what was never seen."""
    torch.manual_seed(0)
    store = drawn(out)
    model = WorstPatch(ClipEncoder.from_directory(ROOT / "assets" / "world" / "clip"), UNSAFEBENCH.ids, "worst_patch")
    train(model, LabelledPictures.of(store, "train"))
    val = LabelledPictures.of(store, "val")
    model.eval().calibrate(((inputs, val.targets(rows, model.categories)) for rows, inputs in val.batches(BATCH)), 0.1)
    test = LabelledPictures.of(store, "test")
    predictions = model.predict(None, [test.pixels(row) for row in range(len(test))])
    right = sum(bool(flag) == row.unsafe for flag, row in zip(predictions.flagged, test.rows, strict=True))
    print(f"test: {right} of {len(test)} pictures are judged as they are labelled")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/patches")
