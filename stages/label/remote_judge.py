"""A judge behind an OpenAI-compatible `chat/completions` address: vLLM, llama.cpp and others on this machine, or a named host."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from schemas.errors import InputError
from schemas.sample import Sample
from stages.label.chat_question import messages_of
from stages.label.labeller import ALL_FAIL_MINIMUM, Judge, Labeller, LabellerError, Opinion
from stages.label.questions import check_scopes, read_answer
from stages.remote.address import Address
from stages.remote.chat_client import ChatClient, Reply


@dataclass(frozen=True, kw_only=True)
class RemoteJudge(Labeller):
    """`model` is URL#NAME, such as http://127.0.0.1:8000/v1#NAME. Only this machine is asked, or a host in `allowed_hosts`.

    At most `concurrency` requests at once; each tried `attempts` times with growing pauses. An unreadable answer is a skip.
    The key is taken from the environment variable `key_variable`, if it is set. Prices are per million tokens; what a vote cost
    stands in it, and a worker that has spent `budget` stops the round (the next call of the command goes on).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("prompt", "image", "pair")
    licence: ClassVar[str] = "NOASSERTION"  # the model's, which the user chooses
    model: str
    asks: tuple[str, ...] = ("image", "pair")
    allowed_hosts: tuple[str, ...] = ()
    concurrency: int = 8
    attempts: int = 5
    timeout: float = 120.0  # seconds for one request
    max_tokens: int = 256
    key_variable: str = "HAZMAT_JUDGE_KEY"
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float | None = None

    def __post_init__(self) -> None:
        check_scopes(self.asks, self.scopes)
        self.address()

    def address(self) -> Address:
        """Where to ask and for which model. Raises InputError for a host that was not allowed."""
        return Address.of(self.model, self.allowed_hosts)

    def judge(self) -> Judge:
        """Nothing is loaded and nothing asked yet."""
        client = ChatClient(
            self.address(), self.concurrency, self.attempts, self.timeout, self.max_tokens, self.key_variable
        )
        spent = Spent(self.price_in, self.price_out, self.budget)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            spent.check()
            questions = [messages_of(sample, scope, self.taxonomy) for sample in batch for scope in self.asks]
            replies = asyncio.run(client.ask_all(questions))
            if len(replies) >= ALL_FAIL_MINIMUM and all(isinstance(reply, Exception) for reply in replies):
                raise LabellerError(f"{self.name}: all {len(replies)} requests failed; the first: {replies[0]}")
            rows = iter(replies)
            return [[self._opinion(next(rows), scope, spent) for scope in self.asks] for _ in batch]

        return judge

    def _opinion(self, reply: Reply | Exception, scope: str, spent: "Spent") -> Opinion:
        if isinstance(reply, Exception):
            return self.skip(scope, reply)
        cost = spent.add(reply)
        try:
            opinion = read_answer(reply.text, scope, self.taxonomy)
        except (ValueError, TypeError, AttributeError) as error:
            opinion = self.skip(scope, error)
        return Opinion(
            scope, opinion.label, opinion.categories, opinion.score, opinion.severity, opinion.reason, cost=cost
        )

    def asked(self) -> tuple[str, ...]:
        """The chosen scopes."""
        return self.asks

    @property
    def annotator(self) -> str:
        """With the model's name, not its address."""
        return f"{self.name}/{self.address().model}"


@dataclass(slots=True)
class Spent:
    """What this worker's requests have cost so far."""

    price_in: float
    price_out: float
    budget: float | None
    total: float = field(default=0.0)

    def add(self, reply: Reply) -> float:
        """Count a reply; its cost."""
        cost = (reply.tokens_in * self.price_in + reply.tokens_out * self.price_out) / 1e6
        self.total += cost
        return cost

    def check(self) -> None:
        """Raise InputError once the budget is spent."""
        if self.budget is not None and self.total >= self.budget:
            raise InputError(
                f"remote_judge has spent {self.total:.2f} of its budget of {self.budget:.2f}; raise it to go on"
            )
