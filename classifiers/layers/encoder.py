"""Any CLIP of transformers as a differentiable encoder: from pixels in [0, 1] and token embeddings to one space."""

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
        from transformers import AutoTokenizer, CLIPModel

        try:
            clip = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).float().eval()
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(f"--clip {folder}: no CLIP of transformers with safetensors ({error})") from error
        return cls(clip, tokenizer, *picture_statistics(folder))

    @classmethod
    def from_config(cls, settings: dict[str, Any], folder: Path) -> Self:
        """Of the shape that `settings` says, its weights still to be loaded; the tokenizer lies in `folder`."""
        from transformers import AutoTokenizer, CLIPConfig, CLIPModel

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(CLIPModel(CLIPConfig(**settings["clip"])).float(), tokenizer, settings["mean"], settings["std"])

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
        weight: Tensor = self.clip.text_model.embeddings.token_embedding.weight
        return weight.detach()

    def text(self, ids: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """Unit vectors [n, width] of prompts; `embeddings` [n, length, token width] stand for those of `ids` where given."""
        return self.words(ids, embeddings)[1]

    def words(self, ids: Tensor, embeddings: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Every token [n, length, hidden], zero after the end mark, and the unit vectors [n, width]; `embeddings` as in `text`.

        CLIP's text model looks back only, so what follows the last end mark of the batch is not computed.
        """
        read = self.read(ids)
        longest = columns(read)
        table = self.clip.text_model.embeddings.token_embedding
        with nullcontext() if embeddings is None else _Replaced(table, embeddings[:, :longest]):
            out = self.clip.text_model(input_ids=ids[:, :longest])
        hidden = pad(out.last_hidden_state, (0, 0, 0, ids.shape[1] - longest)) * read[..., None]
        return hidden, normalize(self.clip.text_projection(out.pooler_output), dim=-1)

    def read(self, ids: Tensor) -> Tensor:
        """bool like `ids`: all up to the first end mark, which CLIP takes the prompt's vector from."""
        ends = ids == self.tokenizer.eos_token_id
        before: Tensor = ends.cumsum(dim=1) - ends.int()
        return before == 0

    def resized(self, pixels: Tensor) -> Tensor:
        """float32 [n, 3, side, side] of [n, 3, h, w] in [0, 1]: bicubic, antialiased; as they are where the size is right."""
        side = self.side
        if pixels.shape[-2:] == (side, side):
            return pixels
        return interpolate(pixels, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)

    def image(self, pixels: Tensor) -> Tensor:
        """Unit vectors [n, width] of float32 [n, 3, h, w] in [0, 1]; resized and normalised here."""
        return self.patches(pixels)[1]

    def patches(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Every patch [n, patches, hidden], row by row from the top, and the unit vectors [n, width]; pixels as in `image`."""
        out = self.clip.vision_model(pixel_values=(self.resized(pixels) - self.mean) / self.std)
        return out.last_hidden_state[:, 1:], normalize(self.clip.visual_projection(out.pooler_output), dim=-1)


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
