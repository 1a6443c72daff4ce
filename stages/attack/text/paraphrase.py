"""The same request in other words, by a local language model (`stages.prompts.rewrite`)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import Resources, Step
from schemas.errors import InputError
from schemas.sample import READING, Sample
from stages.attack.text_attack import Rewritten, TextAttack
from stages.prompts.gate import Gate
from stages.prompts.language_model import SMOLLM2
from stages.prompts.rewrite import Rewrite


@dataclass(frozen=True, kw_only=True)
class Paraphrase(TextAttack):
    """`variants` texts a prompt, as the `model` writes them. Static; the meaning may drift: truth is read anew."""

    preserves: ClassVar[bool] = False
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    model: str = SMOLLM2
    instruction: str = "Say this in other words, in one short sentence: {prompt}"
    batch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target is not None:
            raise InputError("paraphrase is static; leave its target out")

    def revision(self) -> str:
        """Digest of the language model."""
        return self.writer().revision()

    def writer(self) -> Rewrite:
        """The stage that writes."""
        return Rewrite(
            model=self.model, instruction=self.instruction, variants=self.variants, batch_size=self.batch_size
        )

    def rewrite(self, text: str, seed: int) -> Rewritten:
        """Raises InputError: the language model writes in batches only."""
        raise InputError("paraphrase works on batches; use it as a stage")

    def open(self) -> Step:
        """Load the language model and compile the gate."""
        gate = self.gate or Gate.default()
        write = self.writer().open()

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            let_in = [sample for sample in batch if gate.refusal(sample.prompt) is None]
            parents = {sample.key: sample for sample in let_in}
            count: Counter[str] = Counter()
            for child in write(let_in) if let_in else ():
                parent = parents[child.parent or ""]
                index = count[parent.key]
                count[parent.key] += 1
                rewritten = Rewritten(child.prompt, len(child.prompt.split()))
                if child.prompt != parent.prompt and gate.refusal(child.prompt) is None:
                    record = self.record(rewritten, self.seeds([child.key])[0])
                    drawn = rewritten.text if parent.follows_prompt else parent.generation_prompt
                    gone = dict.fromkeys(("pixels", "scene", "width", "height", "seed", *READING))
                    yield self.variant(
                        parent, index, prompt=rewritten.text, generation_prompt=drawn, attack=record, **gone
                    )

        return step
