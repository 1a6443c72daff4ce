"""A CLIP of transformers as a differentiable encoder: from pixels in [0, 1] and token embeddings to one space.

What other families do otherwise stands in classifiers/layers/encoders/, a file each; `encoders.by_directory` picks by what a
directory says of itself.
"""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, pad

from classifiers.layers.canonical import Canonical, lexicon_of
from schemas.errors import InputError

OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ClipEncoder(nn.Module):
    """`clip` is a `transformers.CLIPModel`; `mean` and `std` are of its pictures, per channel, in [0, 1] pixel units."""

    model_type: ClassVar[str] = "clip"
    """As the `config.json` of such a model says."""
    one_space: ClassVar[bool] = True
    """Whether vectors of prompts and of pictures may be compared."""
    filter: ClassVar[Literal["bicubic", "bilinear"]] = "bicubic"
    """That pictures are resized by."""
    mean: Tensor
    std: Tensor

    def __init__(self, clip: Any, tokenizer: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """A CLIP as transformers stores it. Raises InputError for anything else."""
        from transformers import AutoTokenizer

        try:
            clip = cls._kind().from_pretrained(folder, local_files_only=True, use_safetensors=True).float().eval()
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(f"--clip {folder}: no {cls._kind().__name__} with safetensors ({error})") from error
        return cls(clip, tokenizer, *picture_statistics(folder))

    @classmethod
    def from_config(cls, settings: dict[str, Any], folder: Path) -> Self:
        """Of the shape that `settings` says, its weights still to be loaded; the tokenizer lies in `folder`."""
        from transformers import AutoTokenizer

        tokenizer, kind = AutoTokenizer.from_pretrained(folder, local_files_only=True), cls._kind()
        clip = kind(kind.config_class(**settings["clip"])).float()
        return cls(clip, tokenizer, settings["mean"], settings["std"])

    @staticmethod
    def _kind() -> Any:
        """The model's class in transformers."""
        from transformers import CLIPModel

        return CLIPModel

    def settings(self) -> dict[str, Any]:
        """What `from_config` wants."""
        mean, std = (buffer.flatten().tolist() for buffer in (self.mean, self.std))
        # Where it was read from is no part of a model, and would give the same weights another digest on another machine.
        clip = {name: value for name, value in self.clip.config.to_dict().items() if name != "_name_or_path"}
        return {"clip": clip, "mean": mean, "std": std}

    @property
    def width(self) -> int:
        """Of the common space."""
        return int(self.clip.config.projection_dim)

    @property
    def hidden(self) -> tuple[int, int]:
        """Width of a word's and of a patch's vector."""
        return int(self.clip.config.text_config.hidden_size), int(self.clip.config.vision_config.hidden_size)

    @property
    def side(self) -> int:
        """Pixels: of the pictures that are read."""
        return int(self.clip.config.vision_config.image_size)

    @property
    def length(self) -> int:
        """Tokens that a prompt is padded and cut to."""
        return int(self.clip.config.text_config.max_position_embeddings)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """int64 [n, length]."""
        encoded = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        )
        ids: Tensor = encoded["input_ids"]
        return ids.to(self.mean.device)

    @cached_property
    def lexicon(self) -> Canonical:
        """The plain spelling of prompts, in the words that the tokenizer knows."""
        return lexicon_of(self.tokenizer)

    def decode(self, ids: Tensor) -> str:
        """Text of one row of ids."""
        return str(self.tokenizer.decode(ids.tolist(), skip_special_tokens=True)).strip()

    def editable(self, ids: Tensor) -> Tensor:
        """bool like `ids`: no begin, end or padding."""
        marks = torch.tensor(sorted(self.tokenizer.all_special_ids), device=ids.device)
        return (ids[..., None] != marks).all(dim=-1)  # `isin` has no counterpart in ONNX

    def overruns(self, prompt: str) -> bool:
        """Whether the prompt has more tokens than are read."""
        return len(self.tokenizer(prompt)["input_ids"]) > self.length

    def embedding_table(self) -> Tensor:
        """float32 [vocabulary, width of a token]."""
        weight: Tensor = self._token_embedding().weight
        return weight.detach()

    def _token_embedding(self) -> Any:
        """The layer that turns ids into vectors."""
        return self.clip.text_model.embeddings.token_embedding

    def text(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """Unit vectors [n, width] of prompts; `embeddings` [n, length, token width] stand for those of `ids` where given."""
        return self.words(ids, embeddings)[1]

    def words(self, ids: Tensor, embeddings: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Every token [n, length, hidden], zero where `read` is not, and the unit vectors [n, width]; `embeddings` as in `text`."""
        read = self.read(ids)
        longest = self.computed(read)
        table = self._token_embedding()
        with nullcontext() if embeddings is None else _Replaced(table, embeddings[:, :longest]):
            hidden, vectors = self._read_words(ids[:, :longest], read[:, :longest])
        hidden = pad(hidden, (0, 0, 0, ids.shape[1] - longest)) * read[..., None]
        return hidden, normalize(vectors, dim=-1)

    def computed(self, read: Tensor) -> int:
        """How many columns of the ids have to be. CLIP's text model looks back only: none after the batch's last end mark."""
        return columns(read)

    def _read_words(self, ids: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """[n, columns, hidden] and [n, width] of ids and of `read`, [n, columns]."""
        out = self.clip.text_model(input_ids=ids)
        return out.last_hidden_state, self.clip.text_projection(out.pooler_output)

    def read(self, ids: Tensor) -> Tensor:
        """bool like `ids`: all up to the first end mark, which CLIP takes the prompt's vector from."""
        ends = ids == self.tokenizer.eos_token_id
        before: Tensor = ends.cumsum(dim=1) - ends.int()
        return before == 0

    def scale(self) -> Tensor:
        """float32 []: what cosines are multiplied by."""
        scale: Tensor = self.clip.logit_scale
        return scale.exp()

    def resized(self, pixels: Tensor) -> Tensor:
        """float32 [n, 3, side, side] of [n, 3, h, w] in [0, 1]: by `filter`, antialiased; as they are where the size is right."""
        side = self.side
        if pixels.shape[-2:] == (side, side):
            return pixels
        return interpolate(pixels, (side, side), mode=self.filter, antialias=True, align_corners=False).clamp(0, 1)

    def image(self, pixels: Tensor) -> Tensor:
        """Unit vectors [n, width] of float32 [n, 3, h, w] in [0, 1]; resized and normalised here."""
        return self.patches(pixels)[1]

    def patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Every patch [n, patches, hidden], row by row from the top, and the unit vectors [n, width]; pixels as in `image`."""
        patches, vectors = self.see((self.resized(pixels) - self.mean) / self.std)
        return patches, normalize(vectors, dim=-1)

    def see(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        """[n, patches, hidden] and [n, width] of float32 [n, 3, side, side]."""
        out = self.clip.vision_model(pixel_values=normalised)
        return out.last_hidden_state[:, 1:], self.clip.visual_projection(out.pooler_output)


def columns(read: Tensor) -> int:
    """Columns of bool [n, length] up to the last that any row has; 1 where none has. In a graph to be exported: all of them."""
    if torch.compiler.is_exporting():
        return int(read.shape[1])
    used = read.any(dim=0).nonzero()
    return int(used.max()) + 1 if len(used) else 1


class _Replaced:
    """While open, an embedding layer gives `embeddings` whatever it is asked for."""

    def __init__(self, layer: nn.Module, embeddings: Tensor) -> None:
        self.layer, self.embeddings = layer, embeddings

    def __enter__(self) -> None:
        self.handle = self.layer.register_forward_hook(lambda *_: self.embeddings)

    def __exit__(self, *_: object) -> None:
        self.handle.remove()


def picture_statistics(folder: Path) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation that the model's processor normalises with; OpenAI's where it says none."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            config = json.loads((folder / name).read_text())
            config = config.get("image_processor", config)
            if "image_mean" in config:
                return config["image_mean"], config["image_std"]
    return OPENAI_MEAN, OPENAI_STD
