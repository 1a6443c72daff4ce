"""A vision-language model of transformers that is asked about pictures: what `Llava` and `InstructBlip` have in common."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from schemas.device import best_device
from schemas.errors import InputError


class VisionLanguageModel(nn.Module):
    """`processor` is the model's own, `mean` and `std` the statistics of its pictures, which are float [n, 3, h, w] in [0, 1].

    A reader of pictures does not read prompts; the contract asks for their tokens all the same.
    """

    differentiable: ClassVar[bool] = True
    """Whether a gradient of what it says reaches the pixels."""
    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, processor: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model, self.processor, self.tokenizer = model, processor, processor.tokenizer
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @abstractmethod
    def written(self, pixels: Tensor, question: str, new_tokens: int) -> list[str]:
        """What it says of each picture, greedily."""

    @abstractmethod
    def likelihoods(self, pixels: Tensor, question: str, answers: Sequence[str]) -> Tensor:
        """float32 [n, answers]: log P of each answer, word by word, without what follows it."""

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pictures at the model's size as its tower wants them, in the type of its weights."""
        return ((pixels - self.mean) / self.std).to(next(self.model.parameters()).dtype)

    def texts(self, ids: Tensor) -> list[str]:
        """One a row of what was generated."""
        return [str(text).strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    @property
    def padding(self) -> int:
        """The token that fills up a row; the end mark where the tokenizer knows none."""
        pad_id = self.tokenizer.pad_token_id
        return int(self.tokenizer.eos_token_id if pad_id is None else pad_id)

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """int64 [n, longest]."""
        rows = [torch.tensor(self.tokenizer(text)["input_ids"], dtype=torch.int64) for text in prompts]
        return pad_sequence(rows, batch_first=True, padding_value=self.padding).to(self.mean.device)

    def decode(self, ids: Tensor) -> str:
        """Text of one row of ids."""
        return str(self.tokenizer.decode(ids.tolist(), skip_special_tokens=True)).strip()

    def editable(self, ids: Tensor) -> Tensor:
        """bool like `ids`: no marks."""
        return ~torch.isin(ids, torch.tensor(sorted(self.tokenizer.all_special_ids), device=ids.device))

    def overruns(self, prompt: str) -> bool:
        """Whether the prompt is longer than the language model's context."""
        return len(self.tokenizer(prompt)["input_ids"]) > int(self.model.config.text_config.max_position_embeddings)

    def embedding_table(self) -> Tensor:
        """float32 [vocabulary, width of a token]."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight.detach()


def opened(folder: Path, architecture: Any, called: str) -> tuple[Any, Any]:
    """Model and processor, float32 on the CPU, bfloat16 on an accelerator. Raises InputError for what is no such model with
    safetensors.
    """
    from transformers import AutoProcessor

    dtype = torch.float32 if best_device().type == "cpu" else torch.bfloat16
    try:
        model = architecture.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=dtype)
        return model, AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no {called} of transformers with safetensors ({error})") from error
