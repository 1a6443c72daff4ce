"""One question about one picture to a vision-language model of `transformers`: how likely it is to give each of a few answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from schemas.errors import InputError
from stages.label.device import device, quieten


def chat_model(directory: Path) -> tuple[Any, Any]:
    """Model and processor: LLaVA, LLaVA-OneVision, Qwen-VL, Mllama, Llama 4, Idefics and what else `AutoModelForImageTextToText`
    opens, bfloat16 on an accelerator. Raises InputError for what is none, and for one that has no form for a chat.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    quieten()
    dtype = torch.bfloat16 if device() != "cpu" else torch.float32
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            directory, local_files_only=True, use_safetensors=True, dtype=dtype
        )
        processor = picture_processor(directory)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{directory}: no vision-language model of transformers with safetensors ({reason})"
        ) from error
    if not getattr(processor, "chat_template", None):
        raise InputError(f"{directory}: no chat template; expected chat_template.jinja beside the model")
    return model.eval().to(device()), processor


def picture_processor(directory: Path) -> Any:
    """The model's own processor. Those of LLaVA-OneVision and Qwen-VL read films too, for which transformers needs torchvision;
    where that is not installed they are opened without that part. Raises OSError and ValueError as transformers does.
    """
    import transformers
    from transformers.utils import is_torchvision_available

    class_name = str(_processor_settings(directory).get("processor_class", ""))
    kind = getattr(transformers, class_name, None)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return transformers.AutoProcessor.from_pretrained(directory, local_files_only=True)
    return without_films(kind).from_pretrained(directory, local_files_only=True)


def without_films(kind: Any) -> Any:
    """The class of a processor that has a part for films, without it."""

    def get_attributes(_: object) -> list[str]:
        return [name for name in kind.get_attributes() if name != "video_processor"]

    return type(kind.__name__, (kind,), {"get_attributes": classmethod(get_attributes)})


def _processor_settings(directory: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        if (directory / name).is_file():
            settings |= json.loads((directory / name).read_text())
    return settings


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """Ready for its possible answers. `lead_in` begins the answer; `text_first` where the model was tuned so."""

    model: Any
    processor: Any
    picture: Image.Image
    text: str
    lead_in: str = ""
    text_first: bool = False

    def shares(self, answers: Sequence[str]) -> Any:
        """float32 [answers] that sum to 1: the likelihood of each answer against the others. Raises ValueError for NaN."""
        return self.log_likelihoods(answers).softmax(dim=0)

    def log_likelihoods(self, answers: Sequence[str]) -> Any:
        """float32 [answers]: log P of each, without what follows it. Raises ValueError for NaN."""
        import torch

        base = self._inputs("")["input_ids"][0]
        logs = torch.stack([self._log_likelihood(answer, base) for answer in answers])
        if not torch.isfinite(logs).all():
            raise ValueError("the model gave NaN")
        return logs.float().cpu()

    def written(self, new_tokens: int) -> str:
        """What the model says, greedily."""
        inputs = self._inputs("")
        row = self.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)[
            0, inputs["input_ids"].shape[1] :
        ]
        return str(self.processor.tokenizer.decode(row, skip_special_tokens=True)).strip()

    def _log_likelihood(self, answer: str, base: Any) -> Any:
        """Sum over the answer's tokens, which begin where the ids first differ from those without an answer."""
        inputs = self._inputs(answer)
        ids = inputs["input_ids"][0]
        shared = min(len(ids), len(base))
        differ = (ids[:shared] != base[:shared]).nonzero()
        start = int(differ[0]) if len(differ) else shared
        logits = self.model(**inputs).logits[0, start - 1 : -1].float()
        logs = logits.log_softmax(dim=-1)
        return logs.gather(1, ids[start:, None].to(logs.device)).sum()

    def _inputs(self, answer: str) -> Any:
        content: list[dict[str, str]] = [{"type": "image"}, {"type": "text", "text": self.text}]
        if self.text_first:
            content.reverse()
        chat = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(text=[chat + self.lead_in + answer], images=[self.picture], return_tensors="pt")
        return inputs.to(device())
