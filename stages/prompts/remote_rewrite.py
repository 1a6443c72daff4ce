"""Have a language model behind an address write out what a short prompt asks for: `chat:URL#NAME`."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.stage import BadSamplesError, Stage, Step
from schemas.errors import HazmatError, InputError
from schemas.generation import WRITER
from schemas.sample import Sample
from stages.label.installed import imported
from stages.prompts.rewrite import tidy
from stages.remote.address import Address
from stages.remote.chat_client import ChatClient, Reply

ALL_FAIL_MINIMUM = 4
"""A batch of at least this many of which every request fails for good says that the service is down, not the prompts."""


@dataclass(frozen=True, kw_only=True)
class RemoteRewrite(Stage):
    """Fan each prompt out into `variants` descriptions, its children, as `Rewrite` does with a model of its own.

    `model` is chat:URL#NAME; only this machine is asked, or a host in `allowed_hosts`. Where the model declines or writes nothing
    there is no child; a request that fails for good is its prompt's fault. What is written has not passed the gate: `Gated` belongs
    behind this stage. What comes back cannot be made again (level L0). Raises InputError for a host that is not allowed.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})
    model: str
    instruction: str = "Describe a picture of this in one short sentence: {prompt}"
    variants: int = 1
    temperature: float = 0.7
    new_tokens: int = 60  # one sentence
    allowed_hosts: tuple[str, ...] = ()
    concurrency: int = 8
    attempts: int = 5
    timeout: float = 120.0  # seconds for one request
    key_variable: str = "HAZMAT_WRITER_KEY"

    def __post_init__(self) -> None:
        self.address()
        if "{prompt}" not in self.instruction or min(self.variants, self.new_tokens) < 1 or self.temperature < 0:
            raise InputError(f"{self!r}: an instruction says where the {{prompt}} goes; counts are at least 1")

    @property
    def level(self) -> str:
        """Nothing that it gives can be made again."""
        return "L0"

    @property
    def fan_out(self) -> int:
        """As many as are asked for."""
        return self.variants

    def address(self) -> Address:
        """Where to ask and for which model. Raises InputError."""
        return Address.of(self.model.removeprefix(WRITER), self.allowed_hosts, "--writer chat")

    def describe(self) -> dict[str, str]:
        """Without what says how it is asked."""
        how = ("allowed_hosts", "concurrency", "attempts", "timeout", "key_variable")
        return {name: value for name, value in super().describe().items() if name not in how}

    def open(self) -> Step:
        """Nothing is asked yet."""
        imported("aiohttp", "hazmat[labellers]")
        client = ChatClient(
            address=self.address(),
            concurrency=self.concurrency,
            attempts=self.attempts,
            timeout=self.timeout,
            max_tokens=self.new_tokens,
            key_variable=self.key_variable,
            temperature=self.temperature,
        )
        written: dict[str, list[Reply]] = {}  # paid for, of a batch that comes again without those at fault

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            waiting = [sample for sample in batch if sample.key not in written]
            questions = [self._messages(sample) for sample in waiting for _ in range(self.variants)]
            rows = iter(asyncio.run(client.ask_all(questions)))
            bad: dict[str, str] = {}
            for sample in waiting:
                replies = [next(rows) for _ in range(self.variants)]
                failed = next((reply for reply in replies if isinstance(reply, Exception)), None)
                if failed is None:
                    written[sample.key] = [reply for reply in replies if isinstance(reply, Reply)]
                else:
                    bad[sample.key] = str(failed)
            if len(bad) == len(batch) >= ALL_FAIL_MINIMUM:
                raise HazmatError(
                    f"{self.model}: all {len(bad)} requests failed; the first: {next(iter(bad.values()))}"
                )
            if bad:
                raise BadSamplesError(bad)
            for sample in batch:
                for index, reply in enumerate(written.pop(sample.key)):
                    if text := tidy(reply.text):
                        yield sample.derive(self.name, index, prompt=text, generation_prompt=text)

        return step

    def _messages(self, sample: Sample) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.instruction.replace("{prompt}", sample.prompt)}]
