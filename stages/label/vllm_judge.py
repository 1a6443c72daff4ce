"""A vision-language model by vLLM in this process, whole batches at once: the votes of `remote_judge` without a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from schemas.sample import Sample
from stages.label.chat_question import messages_of
from stages.label.installed import imported
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.questions import check_scopes, read_answer


@dataclass(frozen=True, kw_only=True)
class VllmJudge(Labeller):
    """`model` is the directory of a model that vLLM serves; it has to be installed (an accelerator, and a torch of its own choice).

    It is asked as `remote_judge` asks, for one JSON object by temperature 0, and all of a batch goes to vLLM together, which
    schedules it: the larger `batch_size`, the better. `memory` is the share of the accelerator's memory that it takes. Answers
    are not the same bit by bit: vLLM batches as load has it, so its votes are L2 (docs/reference/promises.md).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("prompt", "image", "pair")
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    licence: ClassVar[str] = "NOASSERTION"  # the model's, which the user chooses
    model: str
    asks: tuple[str, ...] = ("image", "pair")
    max_tokens: int = 256
    context: int = 8192
    memory: float = 0.9
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_scopes(self.asks, self.scopes)

    def judge(self) -> Judge:
        """Start the engine. Raises InputError without vLLM."""
        vllm = imported("vllm", "vllm (in an environment of its own: it pins torch)")
        engine = vllm.LLM(
            model=str(model_directory(self.model)),
            max_model_len=self.context,
            gpu_memory_utilization=self.memory,
            limit_mm_per_prompt={"image": 1},
            seed=0,
        )
        sampling = vllm.SamplingParams(temperature=0.0, max_tokens=self.max_tokens, seed=0)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            chats = [messages_of(sample, scope, self.taxonomy) for sample in batch for scope in self.asks]
            answers = iter(engine.chat(chats, sampling, use_tqdm=False))
            return [[self._opinion(next(answers), scope) for scope in self.asks] for _ in batch]

        return judge

    def _opinion(self, answer: Any, scope: str) -> Opinion:
        try:
            return read_answer(answer.outputs[0].text, scope, self.taxonomy)
        except (ValueError, TypeError, AttributeError) as error:
            return self.skip(scope, error)

    def asked(self) -> tuple[str, ...]:
        """The chosen scopes."""
        return self.asks

    @property
    def annotator(self) -> str:
        """With the model's directory."""
        return f"{self.name}/{Path(self.model).name}"

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(model_directory(self.model))
