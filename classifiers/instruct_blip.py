"""Any InstructBLIP of transformers as a differentiable reader of pictures (Dai et al. 2023; in UnsafeBench on Vicuna)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.rnn import pad_sequence

from classifiers.encoder import picture_statistics
from schemas.errors import InputError


class InstructBlip(nn.Module):
    """`model` is an `InstructBlipForConditionalGeneration` whose language model only decodes, `processor` its processor.

    The Q-Former reads the question too, as far as its positions reach (512 tokens in the published one).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, processor: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.model, self.processor, self.tokenizer = model, processor, processor.tokenizer
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """Float32 on the CPU, bfloat16 on an accelerator. Raises InputError for what is no such model with safetensors."""
        from transformers import AutoProcessor, InstructBlipForConditionalGeneration

        dtype = torch.bfloat16 if torch.accelerator.is_available() else torch.float32
        try:
            model = InstructBlipForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype
            )
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: no InstructBLIP of transformers with safetensors ({error})") from error
        if not model.config.use_decoder_only_language_model:
            raise InputError(f"{folder}: an InstructBLIP on an encoder-decoder (Flan-T5); expected one on Vicuna")
        return cls(model.eval(), processor, *picture_statistics(folder))

    @torch.inference_mode()
    def written(self, pixels: Tensor, question: str, new_tokens: int) -> list[str]:
        """What it says, greedily, of pictures float [n, 3, h, w] in [0, 1]."""
        given = self._given(pixels, question)
        made = self.model.generate(**given, max_new_tokens=new_tokens, do_sample=False, num_beams=1)
        said = self.tokenizer.batch_decode(made[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
        return [str(text).strip() for text in said]

    def likelihoods(self, pixels: Tensor, question: str, answers: Sequence[str]) -> Tensor:
        """float32 [n, answers]: log P of each answer, word by word, without what follows it."""
        columns = []
        for answer in answers:
            said = self.tokenizer(answer, add_special_tokens=False)["input_ids"]
            given = self._given(pixels, question, said[:-1])
            logs = self.model(**given).logits.float()[:, -len(said) :].log_softmax(dim=-1)
            places = torch.tensor(said, device=pixels.device).expand(len(pixels), -1)
            columns.append(logs.gather(2, places[..., None]).sum(dim=(1, 2)))
        return torch.stack(columns, dim=1)

    def _given(self, pixels: Tensor, question: str, said: Sequence[int] = ()) -> dict[str, Tensor]:
        """The model's inputs: marks for the picture, the question, and the beginning of an answer."""
        asked = self.processor(text=question)
        marks = [int(self.model.config.image_token_id)] * int(self.model.config.num_query_tokens)
        places = int(self.model.config.qformer_config.max_position_embeddings)
        ids = torch.tensor([[*marks, *asked["input_ids"][0], *said]], device=self.mean.device).expand(len(pixels), -1)
        read = torch.tensor([asked["qformer_input_ids"][0][:places]], device=self.mean.device).expand(len(pixels), -1)
        side, dtype = int(self.model.config.vision_config.image_size), next(self.model.parameters()).dtype
        seen = interpolate(pixels, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        return {
            "pixel_values": ((seen - self.mean) / self.std).to(dtype),
            "qformer_input_ids": read,
            "qformer_attention_mask": torch.ones_like(read),
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
        }

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """int64 [n, longest]; prompts are not read by a judge of pictures, the contract asks for their tokens all the same."""
        rows = [torch.tensor(self.tokenizer(text)["input_ids"], dtype=torch.int64) for text in prompts]
        padding = self.tokenizer.pad_token_id
        end = self.tokenizer.eos_token_id if padding is None else padding
        return pad_sequence(rows, batch_first=True, padding_value=int(end)).to(self.mean.device)

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
