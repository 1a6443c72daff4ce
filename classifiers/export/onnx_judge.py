"""OnnxJudge with an exported ONNX folder. This file stands in the folder itself and needs onnxruntime alone (it brings numpy).

Prompts need tokenizers too, and where config.json says `canonical`, confusable-homoglyphs.

    from judge import OnnxJudge
    OnnxJudge("FOLDER")(pixels=[uint8 array of height, width, 3], prompts=["a red apple"])["flagged"]
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class OnnxJudge:
    """Prompts and pictures → flagged, unsafe, categories and logits, a row a pair."""

    def __init__(self, folder: Any) -> None:
        self.folder = Path(folder)
        self.config = json.loads((self.folder / "config.json").read_text())
        self.session = onnxruntime.InferenceSession(str(self.folder / "model.onnx"), providers=["CPUExecutionProvider"])
        self.tokenizer: Any = None
        self.plain: Any = None
        if "prompt" in self.config["reads"]:
            from tokenizers import Tokenizer

            self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
            length, padding = self.config["length"], self.config["padding"]
            self.tokenizer.enable_truncation(length)
            self.tokenizer.enable_padding(length=length, pad_id=padding["id"], pad_token=padding["token"])
        if self.config["canonical"]:
            sys.path.append(str(self.folder / "code"))
            from classifiers.layers.canonical import Canonical

            self.plain = Canonical(*json.loads((self.folder / "lexicon.json").read_text()))

    def __call__(self, pixels: Any = None, prompts: Any = None) -> dict[str, Any]:
        """Arrays by name, in the order of the rows; pictures may differ in size."""
        for what, value in (("image", pixels), ("prompt", prompts)):
            if what in self.config["reads"] and value is None:
                raise ValueError(f"this model judges each {what}, and none were given")
        ids = self.ids(prompts) if self.tokenizer is not None else None
        verdicts = []
        for row in range(len(pixels if pixels is not None else prompts)):
            feed = {} if pixels is None or "image" not in self.config["reads"] else {"pixels": pixels[row][None]}
            feed |= {} if ids is None else {"input_ids": ids[row : row + 1]}
            verdicts.append(self.session.run(None, feed))
        names = [output.name for output in self.session.get_outputs()]
        return {name: np.concatenate([row[place] for row in verdicts]) for place, name in enumerate(names)}

    def ids(self, prompts: Any) -> Any:
        """int64 [n, length] of prompts."""
        plain = [self.plain(prompt) if self.plain else prompt for prompt in prompts]
        return np.array([each.ids for each in self.tokenizer.encode_batch(plain)], dtype=np.int64)
