"""A trained classifier as a folder of transformers: `pipeline("image-classification")`, or AutoModel with AutoProcessor."""

import json
from pathlib import Path

from classifiers.classifier import Classifier
from classifiers.export.copied_code import copy_code
from classifiers.export.exported import facts, labels, write_card

CLASSES = "classifiers.export.hf_classes"
REQUIRES = ("torch", "transformers", "safetensors", "pillow", "numpy")
CALL = """    import sys; sys.path.insert(0, "FOLDER/code")      # not where Hazmat's checkout is on the path
    import classifiers.export.hf_classes               # registers the classes; `trust_remote_code` is not needed
"""
ONE = """    from transformers import pipeline
    pipeline("image-classification", "FOLDER")("one.png")
"""
BOTH = """    from transformers import AutoModel, AutoProcessor
    model, processor = AutoModel.from_pretrained("FOLDER"), AutoProcessor.from_pretrained("FOLDER")
    model(**processor(text=["a red apple"], images=["one.png"])).flagged
"""


def write_transformers(model: Classifier, digest: str, folder: Path) -> None:
    """model.safetensors, config.json, the processors' settings, the code, and a card."""
    model.save(folder)
    known = facts(model, digest)
    own = json.loads((folder / "config.json").read_text())
    names = labels(model)
    pictures = model.reads == {"image"}
    config = {
        "model_type": "hazmat",
        "architectures": ["HazmatForImageClassification" if pictures else "HazmatModel"],
        "problem_type": "multi_label_classification",  # the pipeline then takes a sigmoid of each logit
        "id2label": dict(enumerate(names)),
        "label2id": {name: place for place, name in enumerate(names)},
        "side": model.encoder.side,
        "filter": model.encoder.filter,
        "length": model.encoder.length if "prompt" in model.reads else 0,
        **{name: known[name] for name in ("reads", "source_digest", "threshold")},
        "classifier": own,
    }
    processor = {
        "image_processor_type": "HazmatImageProcessor",
        "processor_class": "HazmatProcessor",
        **{name: config[name] for name in ("side", "filter")},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))
    copy_code((CLASSES, type(model).__module__), folder)
    needs = (*REQUIRES, "confusable-homoglyphs") if model.canonical else REQUIRES
    write_card(folder, model, known, f"It needs {', '.join(needs)}.\n\n{CALL}{ONE if pictures else BOTH}")
