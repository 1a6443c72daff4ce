"""Any InstructBLIP of transformers as a differentiable reader of pictures (Dai et al. 2023; in UnsafeBench on Vicuna)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from classifiers.layers.encoder import picture_statistics
from classifiers.vlm.vision_language_model import VisionLanguageModel, opened
from schemas.device import best_device
from schemas.errors import InputError


class InstructBlip(VisionLanguageModel):
    """`model` is an `InstructBlipForConditionalGeneration` whose language model only decodes, `processor` its processor.

    The Q-Former reads the question too, as far as its positions reach (512 tokens in the published one).
    """

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """Float32 on the CPU, bfloat16 on an accelerator. Raises InputError for what is no such model with safetensors."""
        from transformers import InstructBlipForConditionalGeneration

        model, processor = opened(folder, InstructBlipForConditionalGeneration, "InstructBLIP")
        if not model.config.use_decoder_only_language_model:
            raise InputError(f"{folder}: an InstructBLIP on an encoder-decoder (Flan-T5); expected one on Vicuna")
        return cls(model.eval(), processor, *picture_statistics(folder)).to(best_device())

    @torch.inference_mode()
    def written(self, pixels: Tensor, question: str, new_tokens: int) -> list[str]:
        """What it says, greedily, of pictures float [n, 3, h, w] in [0, 1]."""
        inputs = self._given(pixels, question)
        generated = self.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, num_beams=1)
        return self.texts(generated[:, inputs["input_ids"].shape[1] :])

    def likelihoods(self, pixels: Tensor, question: str, answers: Sequence[str]) -> Tensor:
        """float32 [n, answers]: log P of each answer, word by word, without what follows it."""
        columns = []
        for answer in answers:
            ids = self.tokenizer(answer, add_special_tokens=False)["input_ids"]
            inputs = self._given(pixels, question, ids[:-1])
            logs = self.model(**inputs).logits.float()[:, -len(ids) :].log_softmax(dim=-1)
            places = torch.tensor(ids, device=pixels.device).expand(len(pixels), -1)
            columns.append(logs.gather(2, places[..., None]).sum(dim=(1, 2)))
        return torch.stack(columns, dim=1)

    def _given(self, pixels: Tensor, question: str, answer: Sequence[int] = ()) -> dict[str, Tensor]:
        """The model's inputs: marks for the picture, the question, and the beginning of an answer."""
        encoded = self.processor(text=question)
        marks = [int(self.model.config.image_token_id)] * int(self.model.config.num_query_tokens)
        places = int(self.model.config.qformer_config.max_position_embeddings)
        ids = torch.tensor([[*marks, *encoded["input_ids"][0], *answer]], device=self.mean.device).expand(
            len(pixels), -1
        )
        read = torch.tensor([encoded["qformer_input_ids"][0][:places]], device=self.mean.device).expand(len(pixels), -1)
        side = int(self.model.config.vision_config.image_size)
        seen = interpolate(pixels, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        return {
            "pixel_values": self.normalised(seen),
            "qformer_input_ids": read,
            "qformer_attention_mask": torch.ones_like(read),
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
        }
