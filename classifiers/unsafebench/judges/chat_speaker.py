"""LLaVA-OneVision, Qwen-VL, Mllama and Idefics 3 as readers of pictures, each by its own processor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from classifiers.vlm.vision_language_model import VisionLanguageModel
from classifiers.zoo.vlm import SPEAKERS, Speaker
from stages.label.picture_question import PictureQuestion, chat_model


class ChatSpeaker(VisionLanguageModel):
    """What is said of a picture depends on how its processor cuts it into tiles and patches, so pictures go in as 8-bit files
    would, one by one, and no gradient reaches the pixels: attacks that need one refuse it.
    """

    differentiable: ClassVar[bool] = False

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """Float32 on the CPU, bfloat16 on an accelerator. Raises InputError."""
        model, processor = chat_model(folder)
        return cls(model, processor, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    @torch.inference_mode()
    def written(self, pixels: Tensor, question: str, new_tokens: int) -> list[str]:
        """What it says, greedily, of pictures float [n, 3, h, w] in [0, 1]."""
        return [self._about(row, question).written(new_tokens) for row in pixels]

    @torch.inference_mode()
    def likelihoods(self, pixels: Tensor, question: str, answers: Sequence[str]) -> Tensor:
        """float32 [n, answers]: log P of each answer, token by token, without what follows it."""
        return torch.stack([self._about(row, question).log_likelihoods(answers) for row in pixels]).to(pixels.device)

    def _about(self, row: Tensor, question: str) -> PictureQuestion:
        pixels = (row.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return PictureQuestion(self.model, self.processor, Image.fromarray(np.ascontiguousarray(pixels)), question)


CHATS = ("llava_next", "llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "mllama", "idefics3")
ALL_SPEAKERS: Mapping[str, Speaker] = {**SPEAKERS, **dict.fromkeys(CHATS, ChatSpeaker.from_directory)}
"""By `model_type` of the configuration."""
