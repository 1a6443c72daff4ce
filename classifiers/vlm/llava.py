"""Any LLaVA-class model of transformers as a differentiable reader of pictures: from pixels in [0, 1] to logits of words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.nn.utils.rnn import pad_sequence

from classifiers.layers.encoder import picture_statistics
from classifiers.vlm.vision_language_model import VisionLanguageModel, opened
from schemas.device import best_device

IGNORED = -100  # label of a token that teaches nothing


class Llava(VisionLanguageModel):
    """`model` is a `LlavaForConditionalGeneration`, `processor` its `LlavaProcessor`; the picture's statistics as in `Encoder`."""

    def __init__(self, model: Any, processor: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(model, processor, mean, std)
        vision = model.config.vision_config
        kept = 1 if model.config.vision_feature_select_strategy == "full" else 0
        self.places = (vision.image_size // vision.patch_size) ** 2 + kept  # tokens that a picture takes

    @classmethod
    def from_directory(cls, folder: Path) -> Self:
        """Float32 on the CPU, bfloat16 on an accelerator. Raises InputError for what is no LLaVA with safetensors."""
        from transformers import LlavaForConditionalGeneration

        model, processor = opened(folder, LlavaForConditionalGeneration, "LLaVA")
        return cls(model.eval(), processor, *picture_statistics(folder)).to(best_device())

    def resized(self, pixels: Tensor) -> Tensor:
        """float32 [n, 3, side, side] of [n, 3, h, w] in [0, 1]: bicubic, antialiased, the whole picture and no centre crop."""
        side = int(self.model.config.vision_config.image_size)
        if pixels.shape[-2:] == (side, side):
            return pixels
        return interpolate(pixels, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)

    def chat(self, question: str) -> str:
        """The question in the model's own form, up to where the answer begins, the picture as as many marks as it takes places."""
        content = [{"type": "text", "text": question}, {"type": "image"}]
        chat = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        mark = self.processor.image_token
        return str(chat).replace(mark, mark * self.places)

    def ids(self, chat: str, answer: str = "") -> list[int]:
        """Tokens of a chat and the beginning of its answer."""
        ids: list[int] = self.tokenizer(f"{chat} {answer}" if answer else chat)["input_ids"]
        return ids

    def answered(self, chat: str, answer: str) -> tuple[list[int], int]:
        """Tokens of a chat with its whole answer and the end mark, and where the answer begins."""
        head, whole = self.ids(chat), self.ids(chat, answer)
        start = next(
            (i for i, (a, b) in enumerate(zip(head, whole, strict=False)) if a != b), min(len(head), len(whole))
        )
        return [*whole, int(self.tokenizer.eos_token_id)], start

    def logits(self, pixels: Tensor, rows: Sequence[Sequence[int]]) -> Tensor:
        """float32 [n, longest, vocabulary] of float [n, 3, h, w] in [0, 1] and a row of tokens each."""
        device, sequences = self.mean.device, [torch.tensor(row) for row in rows]
        ids = pad_sequence(sequences, batch_first=True, padding_value=self.padding).to(device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        mask = (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long()
        normal = self.normalised(self.resized(pixels))
        out: Tensor = self.model(input_ids=ids, pixel_values=normal, attention_mask=mask).logits
        return out.float()

    @torch.inference_mode()
    def written(self, pixels: Tensor, question: str, new_tokens: int) -> list[str]:
        """What it says, greedily, of pictures float [n, 3, h, w] in [0, 1]."""
        ids = torch.tensor([self.ids(self.chat(question))] * len(pixels), device=pixels.device)
        generated = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=self.normalised(self.resized(pixels)),
            max_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=self.tokenizer.eos_token_id,
        )
        return self.texts(generated[:, ids.shape[1] :])

    def likelihoods(self, pixels: Tensor, question: str, answers: Sequence[str]) -> Tensor:
        """float32 [n, answers]: log P of each answer, word by word, without what follows it. Answers that differ in their last
        token alone take one pass together.
        """
        chat, passes, columns = self.chat(question), dict[tuple[int, ...], Tensor](), []
        for answer in answers:
            ids, start = self.answered(chat, answer)
            prefix = tuple(ids[:-2])
            if prefix not in passes:
                passes[prefix] = self.logits(pixels, [prefix] * len(pixels)).log_softmax(dim=-1)
            continuation = torch.tensor(ids[start:-1], device=pixels.device).expand(len(pixels), -1)
            columns.append(passes[prefix][:, start - 1 :].gather(2, continuation[..., None]).sum(dim=(1, 2)))
        return torch.stack(columns, dim=1)
