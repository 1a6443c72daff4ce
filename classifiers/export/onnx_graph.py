"""A classifier as an ONNX graph, from the bytes of pixels to verdicts: resizing, normalising and thresholds are inside."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from classifiers.classifier import Classifier
from classifiers.export.resizing import resize
from classifiers.export.token_ids import told

OPSET = 18
OUTPUTS = ("flagged", "unsafe", "categories", "logits")
LARGEST = 2**14  # pixels a side


class Graph(nn.Module):
    """`pixels` uint8 [n, h, w, 3] of any size, `input_ids` int64 [n, length], whichever are read → `OUTPUTS` of the widest scope.

    `flagged` bool [n]; `unsafe` [n] and `categories` [n, categories] in [0, 1], `logits` [n, 1 + categories], all float32.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, pixels: Tensor | None = None, input_ids: Tensor | None = None) -> tuple[Tensor, ...]:
        """As above."""
        shown = None if pixels is None else self._sized(pixels)
        logits = told(self.model, input_ids, shown)[self.model.scope]
        chances = logits.sigmoid()
        return chances[:, 0] > self.model.threshold, chances[:, 0], chances[:, 1:], logits

    def _sized(self, pixels: Tensor) -> Tensor:
        encoder = self.model.encoder
        return resize(pixels.float() / 255, encoder.side, encoder.filter).clamp(0, 1)


def write_graph(model: Classifier, path: Path, about: dict[str, str]) -> None:
    """The graph of a model on the CPU, weights inside; `about` becomes the file's metadata."""
    import onnx

    model = model.cpu()
    inputs, shapes = _examples(model)
    with torch.no_grad():
        program = torch.onnx.export(
            Graph(model),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=list(OUTPUTS),
            dynamic_shapes=shapes,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    written = onnx.load(str(path))
    onnx.helper.set_model_props(written, about)
    onnx.save(written, str(path))
    onnx.checker.check_model(str(path))


def _examples(model: Classifier) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Inputs to trace with, and which of their sides may differ."""
    inputs: dict[str, Tensor] = {}
    shapes: dict[str, Any] = {}
    rows = torch.export.Dim("rows", min=1, max=4096)
    if "image" in model.reads:
        inputs["pixels"] = torch.randint(0, 256, (3, 90, 70, 3), dtype=torch.uint8)
        height, width = (torch.export.Dim(name, min=1, max=LARGEST) for name in ("height", "width"))
        shapes["pixels"] = {0: rows, 1: height, 2: width}
    if "prompt" in model.reads:
        inputs["input_ids"] = model.encode(["a red apple", "a", "two dogs on a road"])
        shapes["input_ids"] = {0: rows}
    return inputs, shapes
