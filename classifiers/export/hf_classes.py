"""The classes by which transformers opens an exported folder. Importing this file registers them; no remote code is run.

import classifiers.export.hf_classes
transformers.pipeline("image-classification", "FOLDER")("one.png")             # what reads pictures alone
processor, model = AutoProcessor.from_pretrained("FOLDER"), AutoModel.from_pretrained("FOLDER")
model(**processor(text=["a red apple"], images=["one.png"])).flagged           # any kind
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoProcessor,
    BatchFeature,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.modeling_outputs import ModelOutput
from transformers.utils import cached_file

from classifiers.classifier import Classifier
from classifiers.export.resizing import resize
from classifiers.export.token_ids import told
from classifiers.prediction import Picture, frames_of
from schemas.errors import InputError


class HazmatConfig(PretrainedConfig):  # type: ignore[misc]  # has no types
    """`classifier` is what config.json of a trained classifier says; `id2label` is unsafe, then the categories."""

    model_type: ClassVar[str] = "hazmat"
    classifier: Mapping[str, Any] | None = None
    reads: Sequence[str] = ()
    side: int = 0
    filter: str = "bicubic"
    length: int = 0


@dataclass
class HazmatOutput(ModelOutput):  # type: ignore[misc]  # has no types
    """`logits` float32 [n, 1 + categories] of the scope that decides: unsafe, then each category. `flagged` bool [n] has the
    threshold inside; `prompt`, `image` and `pair` are the logits by scope, where the model has it.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    flagged: Tensor | None = None
    prompt: Tensor | None = None
    image: Tensor | None = None
    pair: Tensor | None = None


class HazmatModel(PreTrainedModel):  # type: ignore[misc]  # has no types
    """A trained classifier, float32. `from_pretrained` restores it as Hazmat does, so no weight is left to be initialised."""

    config_class = HazmatConfig
    main_input_name = "pixel_values"

    def __init__(self, config: Any, classifier: Classifier | None = None) -> None:
        super().__init__(config)
        if classifier is None:
            raise InputError(f"{type(self).__name__} is made by from_pretrained(FOLDER); it has no weights of its own")
        self.classifier = classifier

    @classmethod
    def from_pretrained(cls, name: Any, *_: Any, config: Any = None, **named: Any) -> Self:
        """From a folder that jobs/export.py wrote, or a hub id that holds one. Raises InputError for what it cannot do."""
        weights = cached_file(name, "model.safetensors", local_files_only=named.get("local_files_only", False))
        if named.get("quantization_config") is not None:
            raise InputError("an exported classifier has a few million weights in float32; it is not quantised")
        config = config or HazmatConfig.from_pretrained(name)
        config.name_or_path = str(name)
        model: Self = cls(config, restored(config, Path(str(weights)).parent))
        model.eval()
        dtype = named.get("dtype", named.get("torch_dtype"))
        if dtype not in (None, "auto", "float32", torch.float32):
            model.to(dtype)
        return model

    def save_pretrained(self, save_directory: Any, **_: Any) -> None:
        """As it was exported, with the weights as they are now."""
        folder = Path(save_directory)
        self.classifier.save(folder)
        about = {**self.config.to_dict(), "classifier": json.loads((folder / "config.json").read_text())}
        (folder / "config.json").write_text(json.dumps(about, indent=1))

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> HazmatOutput:
        """`pixel_values` float32 [n, 3, h, w] in [0, 1], `input_ids` int64 [n, length] of the processor; `labels` float32
        [n, 1 + categories] for a loss. Raises InputError for what is missing.
        """
        for what, value in (("image", pixel_values), ("prompt", input_ids)):
            if what in self.classifier.reads and value is None:
                raise InputError(f"this {self.classifier.kind} judges each {what}, and none were given")
        scores = told(self.classifier, input_ids, pixel_values)
        logits = scores[self.classifier.scope]
        loss = None if labels is None else torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        flagged = logits[:, 0].sigmoid() > self.classifier.threshold
        return HazmatOutput(loss=loss, logits=logits, flagged=flagged, **scores)


class HazmatForImageClassification(HazmatModel):
    """The same for `pipeline("image-classification")`. Raises InputError for a classifier that reads prompts."""

    def __init__(self, config: Any, classifier: Classifier | None = None) -> None:
        super().__init__(config, classifier)
        if self.classifier.reads != {"image"}:
            reads = " and ".join(sorted(self.classifier.reads))
            raise InputError(f"a {self.classifier.kind} reads {reads}: open it with AutoModel and AutoProcessor")


class HazmatImageProcessor(BaseImageProcessor):  # type: ignore[misc]  # has no types
    """Paths, PIL pictures or uint8 [h, w, 3] → `pixel_values` float32 [n, 3, side, side] in [0, 1], resized as in training.

    Of an animation the first frame.
    """

    model_input_names: ClassVar[list[str]] = ["pixel_values"]

    def __init__(self, side: int = 64, filter: str = "bicubic", **named: Any) -> None:
        super().__init__(**named)
        self.side, self.filter = side, filter

    def __call__(self, images: "Picture | Sequence[Picture]", **_: Any) -> BatchFeature:
        """As above. Raises InputError for a picture that cannot be read."""
        pictures = list(images) if isinstance(images, list | tuple) else [images]
        shown = [next(frames_of(each, f"image {row}")) for row, each in enumerate(pictures)]  # type: ignore[arg-type]
        resized = [resize(each.permute(0, 2, 3, 1), self.side, self.filter).clamp(0, 1) for each in shown]  # type: ignore[arg-type]
        return BatchFeature({"pixel_values": torch.cat(resized)})


class HazmatProcessor:
    """Prompts and pictures → what the model takes. Prompts are brought to their plain spelling where the model was trained so."""

    def __init__(self, config: Any, folder: Path) -> None:
        kind = kind_of(config.classifier["kind"])
        self.config, self.canonical = config, kind.canonical
        self.images = HazmatImageProcessor(config.side, config.filter)
        self.tokenizer: Any = None
        if "prompt" in config.reads:
            from transformers import PreTrainedTokenizerFast

            self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)

    @classmethod
    def from_pretrained(cls, name: Any, **_: Any) -> Self:
        """From an exported folder, or a hub id that holds one."""
        return cls(HazmatConfig.from_pretrained(name), Path(str(cached_file(name, "config.json"))).parent)

    def __call__(
        self, text: Sequence[str] | str | None = None, images: "Picture | Sequence[Picture] | None" = None, **_: Any
    ) -> BatchFeature:
        """`input_ids` and `pixel_values`, whichever the model reads. Raises InputError for a picture that cannot be read."""
        encoded: dict[str, Tensor] = {}
        if text is not None and self.tokenizer is not None:
            from classifiers.layers.canonical import lexicon_of

            prompts = [text] if isinstance(text, str) else list(text)
            if self.canonical:
                plain = lexicon_of(self.tokenizer)
                prompts = [plain(prompt) for prompt in prompts]
            how = {"padding": "max_length", "truncation": True, "max_length": self.config.length}
            encoded["input_ids"] = self.tokenizer(prompts, return_tensors="pt", **how)["input_ids"]
        if images is not None and "image" in self.config.reads:
            encoded |= self.images(images)
        return BatchFeature(encoded)


def kind_of(name: str) -> type[Classifier]:
    """The class of classifiers/models/NAME.py, of which an exported folder has the one that it needs."""
    module = import_module(f"classifiers.models.{name}")
    kinds = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Classifier)]
    return next(kind for kind in kinds if vars(kind).get("kind") == name)


def restored(config: Any, folder: Path) -> Classifier:
    """The classifier of an exported folder, on the CPU."""
    return kind_of(config.classifier["kind"]).restore(folder, config.classifier)


AutoConfig.register("hazmat", HazmatConfig)
AutoModel.register(HazmatConfig, HazmatModel)
AutoModelForImageClassification.register(HazmatConfig, HazmatForImageClassification)
AutoImageProcessor.register(HazmatConfig, image_processor_classes={"pil": HazmatImageProcessor})
AutoProcessor.register(HazmatConfig, HazmatProcessor)
