"""A trained classifier as an ONNX file with what is needed beside it: ONNX Runtime judges with it, without torch and without us."""

import json
import shutil
from pathlib import Path

from classifiers.classifier import Classifier
from classifiers.export.copied_code import copy_code
from classifiers.export.exported import facts, write_card
from classifiers.export.onnx_graph import OUTPUTS, write_graph
from schemas.errors import InputError

CALL = """`model.onnx` takes `pixels` uint8 [n, h, w, 3] of any size (resizing and normalising are inside){words}.
It gives {outputs}. `judge.py` calls it, and needs only: pip install {needs}

    from judge import OnnxJudge
    OnnxJudge("FOLDER")({example})["flagged"]
"""


def write_onnx(model: Classifier, digest: str, folder: Path) -> None:
    """model.onnx, config.json, judge.py, of what reads prompts the tokenizer, and a card. Raises InputError without onnx."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError('--to onnx needs the packages onnx and onnxscript: pip install "hazmat[export]"') from error
    known = facts(model, digest)
    write_graph(model, folder / "model.onnx", {name: json.dumps(value) for name, value in known.items()})
    shutil.copyfile(Path(__file__).with_name("onnx_judge.py"), folder / "judge.py")
    config = {**known, "canonical": model.canonical and "prompt" in model.reads}
    needs, words = ["onnxruntime"], ""
    if "prompt" in model.reads:
        _write_words(model, folder)
        token = model.encoder.tokenizer.pad_token
        padding = {"id": model.encoder.tokenizer.pad_token_id, "token": token}
        config |= {"length": model.encoder.length, "padding": padding}
        needs += ["tokenizers", *(["confusable-homoglyphs"] if model.canonical else [])]
        words = ", and `input_ids` int64 [n, length] of tokenizer.json"
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    example = ", ".join(
        {"image": "pixels=[array]", "prompt": 'prompts=["a red apple"]'}[what] for what in sorted(model.reads)
    )
    how = CALL.format(words=words, outputs=", ".join(OUTPUTS), needs=" ".join(needs), example=example)
    write_card(folder, model, known, how)


def _write_words(model: Classifier, folder: Path) -> None:
    """The tokenizer, and where prompts are brought to a plain spelling, the words of it and its code."""
    model.encoder.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    if model.canonical:
        lexicon = model.encoder.lexicon
        (folder / "lexicon.json").write_text(json.dumps([sorted(lexicon.words), sorted(lexicon.meant)]))
        copy_code(("classifiers.layers.canonical",), folder)
