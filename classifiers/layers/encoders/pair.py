"""An image encoder beside a text encoder of another family (DINOv3 and ModernBERT, say): two directories, no common space."""

from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.nn.functional import pad

from classifiers.layers.encoder import ClipEncoder, picture_statistics
from schemas.errors import InputError

LENGTH = 128
"""Tokens that are read at most; the models take thousands, prompts for pictures have tens."""


class PairOfModels(nn.Module):
    """The two models, each as `AutoModel` loads it."""

    def __init__(self, image: Any, text: Any) -> None:
        super().__init__()
        self.image, self.text = image, text


class PairedEncoder(ClipEncoder):
    """`clip` holds both. The narrower side's vectors are filled with zeros, so that both have `width`; they cannot be compared.

    A picture's vector is the model's pooled one, or else its first token; a prompt's is its first token ([CLS]).
    """

    model_type: ClassVar[str] = "pair"
    one_space: ClassVar[bool] = False

    @classmethod
    def of_directories(cls, image: Path, text: Path) -> Self:
        """Both as transformers stores them. Raises InputError for what it cannot load, or what takes no square pictures."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(text, local_files_only=True)
        return cls(PairOfModels(_loaded(image), _loaded(text)), tokenizer, *picture_statistics(image))

    @classmethod
    def from_config(cls, settings: dict[str, Any], folder: Path) -> Self:
        """Of the shapes that `settings` say, their weights still to be loaded; the tokenizer lies in `folder`."""
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        configs = [dict(settings["clip"][side]) for side in ("image", "text")]
        image, text = (AutoModel.from_config(AutoConfig.for_model(**config)).float() for config in configs)
        return cls(PairOfModels(image, text), tokenizer, settings["mean"], settings["std"])

    def settings(self) -> dict[str, Any]:
        """What `from_config` wants."""
        mean, std = (buffer.flatten().tolist() for buffer in (self.mean, self.std))
        sides = {"image": self.clip.image, "text": self.clip.text}
        clip = {
            side: {name: value for name, value in model.config.to_dict().items() if name != "_name_or_path"}
            for side, model in sides.items()
        }
        return {"clip": {"model_type": self.model_type, **clip}, "mean": mean, "std": std}

    @property
    def hidden(self) -> tuple[int, int]:
        """Width of a word's and of a patch's vector."""
        return int(self.clip.text.config.hidden_size), int(self.clip.image.config.hidden_size)

    @property
    def width(self) -> int:
        """Of both sides' vectors."""
        return max(self.hidden)

    @property
    def side(self) -> int:
        """Pixels: of the pictures that are read."""
        return int(self.clip.image.config.image_size)

    @property
    def length(self) -> int:
        """Tokens that a prompt is padded and cut to."""
        return min(LENGTH, int(self.clip.text.config.max_position_embeddings))

    def read(self, ids: Tensor) -> Tensor:
        """bool like `ids`: all but padding."""
        read: Tensor = ids != self.tokenizer.pad_token_id
        return read

    def _token_embedding(self) -> Any:
        return self.clip.text.get_input_embeddings()

    def _read_words(self, ids: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        hidden: Tensor = self.clip.text(input_ids=ids, attention_mask=read.long()).last_hidden_state
        return hidden, self._filled(hidden[:, 0])

    def see(self, normalised: Tensor) -> tuple[Tensor, Tensor]:
        out = self.clip.image(pixel_values=normalised)
        hidden: Tensor = out.last_hidden_state
        first = 1 + int(getattr(self.clip.image.config, "num_register_tokens", 0))  # class token, then registers
        pooled = getattr(out, "pooler_output", None)
        return hidden[:, first:], self._filled(hidden[:, 0] if pooled is None else pooled)

    def _filled(self, vectors: Tensor) -> Tensor:
        return pad(vectors, (0, self.width - vectors.shape[1]))


def _loaded(folder: Path) -> Any:
    from transformers import AutoModel

    try:
        return AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).float().eval()
    except (OSError, ValueError) as error:
        raise InputError(f"--clip {folder}: no model of transformers with safetensors ({error})") from error
