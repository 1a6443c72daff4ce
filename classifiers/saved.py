"""Classifiers on disk: a directory with config.json and model.safetensors, whatever the kind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any

import classifiers.models
from classifiers.classifier import Classifier
from classifiers.layers.encoders.by_directory import encoder_named
from pipeline.storage.weights import local_directory
from schemas.code_digest import code_digest
from schemas.device import best_device
from schemas.errors import InputError
from schemas.plug_ins import plug_ins
from schemas.taxonomy import UNSAFEBENCH, Taxonomy


def load(folder: str | Path) -> Classifier:
    """A trained classifier, ready to judge: `load("runs/demo/models/multimodal").predict(prompts, images)`.

    `embedded:NAME` is one that the repository holds, say `embedded:guards`. Onto the accelerator if there is one. Raises InputError
    where there is no classifier.
    """
    return Saved(str(embedded(str(folder)) or folder)).load()


EMBEDDED, SHELF = "embedded:", "assets/world/defence"


def embedded(name: str) -> Path | None:
    """The folder of `embedded:NAME`; None for a name of another form. Raises InputError where the repository holds none such."""
    if not name.startswith(EMBEDDED):
        return None
    shelf = local_directory(SHELF)
    known = {path.parent.name: path.parent for path in sorted(shelf.glob("*/config.json"))} if shelf else {}
    if (wanted := name.removeprefix(EMBEDDED)) not in known:
        raise InputError(
            f"{name}: expected one of {', '.join(EMBEDDED + each for each in known) or 'none, there are none'}"
        )
    return known[wanted]


def kind_of(name: str) -> type[Classifier]:
    """The class of classifiers/models/NAME.py. Raises InputError where there is none."""
    module = f"{classifiers.models.__name__}.{name}"
    classes: list[object] = []
    if name.isidentifier():
        try:
            classes = list(vars(import_module(module)).values())
        except ModuleNotFoundError as error:
            if error.name != module:
                raise  # the file is there, and what it imports is not
    for value in classes:
        if isinstance(value, type) and issubclass(value, Classifier) and vars(value).get("kind") == name:
            return value
    raise InputError(f"there is no classifier {name!r}: no classifiers/models/{name}.py here with a class of that kind")


@dataclass(frozen=True)
class Saved:
    """The contract's `Target`: a classifier's directory, by its absolute path."""

    folder: str

    def load(self) -> Classifier:
        """Onto the accelerator if there is one. Raises InputError where there is no classifier."""
        from safetensors import SafetensorError

        config = self._config()
        try:
            model = kind_of(str(config["kind"])).restore(Path(self.folder), config)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError(
                f"{self.folder}: the classifier there is damaged or of another version ({error}); train it again with "
                f"jobs/train.py RUN --classifier {config['kind']}"
            ) from error
        return model.to(best_device())

    def digest(self) -> str:
        """blake2b over its files' names and bytes."""
        self._config()
        hasher = blake2b(digest_size=16)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            path = Path(self.folder) / name
            if path.is_file():
                hasher.update(name.encode() + b"\0" + path.read_bytes())
        return hasher.hexdigest()

    def code(self) -> str:
        """Digest of the code that it judges by: the same weights under other code are another judge."""
        return code_digest(kind_of(str(self._config()["kind"])))

    def _config(self) -> Mapping[str, Any]:
        path = Path(self.folder) / "config.json"
        try:
            config: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder}: no classifier ({error}); train one with jobs/train.py RUN --classifier NAME"
            ) from error
        if not str(config.get("kind", "")).isidentifier():
            raise InputError(f"{path} names no kind of classifier; train one with jobs/train.py RUN --classifier NAME")
        return config


def classifier_names() -> list[str]:
    """Every classifier that can be trained on a run."""
    kinds = plug_ins(classifiers.models, Classifier)  # type: ignore[type-abstract]
    return [name for name, kind in kinds.items() if not kind.trained_apart]


def build(kind: str, clip: str | Path, name: str | None = None, taxonomy: Taxonomy = UNSAFEBENCH) -> Classifier:
    """An untrained classifier on the encoder that `--clip` names, for all categories of a taxonomy.

    Raises InputError for a name that is none.
    """
    if kind not in (names := classifier_names()):
        apart = kind in plug_ins(classifiers.models, Classifier)  # type: ignore[type-abstract]
        why = "it is not trained on a run's rows like the others (docs/reference/classifiers.md); " if apart else ""
        raise InputError(f"--classifier {kind}: {why}expected one of {', '.join(names)}")
    model = kind_of(kind)(encoder_named(str(clip)), taxonomy.ids, name or kind).eval()
    model.taxonomy_label = taxonomy.label
    return model
