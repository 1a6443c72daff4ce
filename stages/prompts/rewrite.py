"""Have a local language model write out what a short prompt asks for, as the first seed did with vocabulary and templates."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import BadSamplesError, Resources, Stage, Step
from schemas.errors import InputError
from schemas.identity import seed_of
from schemas.sample import Sample
from stages.prompts.language_model import SMOLLM2, LanguageModel, ModelFiles

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s")
_DECLINED = re.compile(r"(i'?m |i am )?(very )?(sorry|unable)|i can(no|')t|i won't|as an ai\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Rewrite(Stage):
    """Fan each prompt out into `variants` descriptions, its children; the prompt itself goes on only as their parent.

    The child's judged and drawn prompt are the same new text, so a confounder's two become one; `category` and `label` stay
    the source's claims about the parent. Where the model declines or writes nothing, there is no child. A prompt that does not
    fit `prompt_tokens` is the sample's fault. What is written has not passed the gate: `Gated` belongs behind this stage.

    Text depends on seed, key and index alone: rows have generators of their own, batches a fixed shape.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    model: str = SMOLLM2
    instruction: str = "Describe a picture of this in one short sentence: {prompt}"
    completion: str = "Prompt: {prompt}\nDescription of image:"  # for models without a chat format
    variants: int = 1
    temperature: float = 0.7  # the first seed's scripts: 0.7 and 0.8
    top_p: float = 0.95
    prompt_tokens: int = 96  # SmolLM2's chat format and the instruction take about 40
    new_tokens: int = 40  # one sentence; CLIP reads 77 tokens
    batch_size: int = 16

    def __post_init__(self) -> None:
        if "{prompt}" not in self.instruction or "{prompt}" not in self.completion:
            raise InputError("Rewrite's instruction and completion must say where the {prompt} goes")
        if (
            min(self.variants, self.prompt_tokens, self.new_tokens) < 1
            or self.temperature <= 0
            or not 0 < self.top_p <= 1
        ):
            raise InputError(f"{self!r}: counts are at least 1, temperature is above 0, top_p in (0, 1]")

    def revision(self) -> str:
        """Digest of the model; refuses one that cannot be loaded."""
        return ModelFiles.find(self.model).digest()

    def open(self) -> Step:
        """Load the model."""
        model = LanguageModel.load(ModelFiles.find(self.model))

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            requests = {sample.key: self._asked(model, sample) for sample in batch}
            lengths = {key: model.length(text) for key, text in requests.items()}
            bad = {
                key: f"the prompt makes {length} tokens; at most {self.prompt_tokens} are read"
                for key, length in lengths.items()
                if length > self.prompt_tokens
            }
            if bad:
                raise BadSamplesError(bad)
            written = [self._write(model, batch, requests, index) for index in range(self.variants)]
            for sample in batch:
                for index, texts in enumerate(written):
                    text = tidy(texts[sample.batch_row])
                    if text:
                        yield sample.derive(self.name, index, prompt=text, generation_prompt=text)

        return step

    def _asked(self, model: LanguageModel, sample: Sample) -> str:
        return model.asked(
            self.instruction.replace("{prompt}", sample.prompt), self.completion.replace("{prompt}", sample.prompt)
        )

    def _write(self, model: LanguageModel, batch: Sequence[Sample], requests: dict[str, str], index: int) -> list[str]:
        """One text a row of the planned shape; rows without a sample repeat the first and are not used."""
        rows = [batch[0]] * self.batch_size
        for sample in batch:
            rows[sample.batch_row] = sample
        return model.write(
            [requests[sample.key] for sample in rows],
            [seed_of(sample.key, f"{self.name} {index}") for sample in rows],
            (self.prompt_tokens, self.new_tokens),
            (self.temperature, self.top_p),
        )


def tidy(written: str) -> str:
    """The first sentence of what a model wrote, without mark-up; "" if it declined or wrote nothing.

    A heading ("Here is a description:") is passed over. A text that was cut off before its sentence ended loses its last word.
    """
    lines = (" ".join(line.strip(" \t\"'“”*#-").split()) for line in written.splitlines())
    line = next((line for line in lines if line and not line.endswith(":")), "")
    if not line or _DECLINED.match(line):
        return ""
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0].strip(" \"'“”")
    if sentence.endswith((".", "!", "?")):
        return sentence
    return sentence.rpartition(" ")[0]
