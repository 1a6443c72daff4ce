"""Judges that are no network of ours: any labeller of pictures as a scorer, and a chat service asked the three published prompts.

Neither has gradients, so table 5 leaves them out, as the paper leaves out GPT-4V.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import torch

from classifiers.zoo.vlm_prompts import UNCERTAIN, UNSAFE, majority, prompts
from pipeline.stage import Step
from pipeline.storage.image_codec import encode
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.protocols import Coverage, Inputs, Scores
from schemas.sample import Pixels, Sample
from schemas.taxonomy import UNSAFEBENCH, Taxonomy
from stages.label.by_name import labellers_of
from stages.label.labeller import Labeller
from stages.remote.address import Address, allowed_hosts
from stages.remote.chat_client import ChatClient, Reply

NEW_TOKENS = 64  # of a service's answer
KEY = "HAZMAT_JUDGE_KEY"  # names the environment variable


@dataclass(eq=False)
class LabellerJudge:
    """A labeller's votes on the image: NudeNet's detector (an extra, AGPL-3.0), open_nsfw, image_safety, a safety checker.

    P(unsafe) is 1 or 0, its decision; a picture that it skips is let through.
    """

    labeller: Labeller
    threshold: float = 0.5
    _step: Step | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """The labeller's, told from a classifier of the zoo that is called alike."""
        return f"{self.labeller.annotator}_labeller"

    @property
    def coverage(self) -> Coverage:
        """What the labeller covers."""
        return Coverage(frozenset({"image"}), ("image",), tuple(self.labeller.covers()))

    def score(self, inputs: Inputs) -> Scores:
        self._step = self._step or self.labeller.open()
        pictures, size, flags = _arrays(inputs), self.labeller.batch_size, list[float]()
        for first in range(0, len(pictures), size):
            part = [_sample(pixels, batch_row) for batch_row, pixels in enumerate(pictures[first : first + size])]
            votes = [next(vote for vote in sample.votes if vote.scope == "image") for sample in self._step(part)]
            flags += [float(vote.label == UNSAFE) for vote in votes]
        return _scores(flags, self.coverage)


@dataclass(eq=False)
class ChatJudge:
    """A GPT-4V-class service: three questions a picture, the answers read, the majority. `dollars` is what it has cost so far.

    `prices` are dollars for a million tokens in and out. A request that fails for good is uncertain.
    """

    name: str
    client: ChatClient
    reader: Callable[[Sequence[str]], Sequence[str]]
    prices: tuple[float, float] = (0.0, 0.0)
    taxonomy: Taxonomy = UNSAFEBENCH
    threshold: float = 0.5
    dollars: float = 0.0

    @property
    def coverage(self) -> Coverage:
        """All categories, as the paper assumes."""
        return Coverage(frozenset({"image"}), ("image",), self.taxonomy.ids)

    def score(self, inputs: Inputs) -> Scores:
        texts = prompts(" ".join(category.policy for category in self.taxonomy.categories))
        pictures = _arrays(inputs)
        messages = [_message(text, pixels) for pixels in pictures for text in texts]
        replies = asyncio.run(self.client.ask_all(messages))
        read = [self._read(reply) for reply in replies]
        answers = [read[first : first + len(texts)] for first in range(0, len(read), len(texts))]
        digests = [blake2b(pixels.tobytes(), digest_size=8).hexdigest() for pixels in pictures]
        decided = [majority(each, digest) for each, digest in zip(answers, digests, strict=True)]
        return _scores([float(label == UNSAFE) for label in decided], self.coverage)

    def _read(self, reply: Reply | Exception) -> str:
        if isinstance(reply, Exception):
            return UNCERTAIN
        self.dollars += (reply.tokens_in * self.prices[0] + reply.tokens_out * self.prices[1]) / 1e6
        return self.reader([reply.text])[0]


def by_labellers(text: str) -> list[LabellerJudge]:
    """`--labellers A,B=MODEL` as judges. Raises InputError for a labeller that does not look at pictures."""
    labellers = labellers_of(text)
    for labeller in labellers:
        if "image" not in labeller.asked():
            raise InputError(
                f"--labellers {labeller.name}: it votes on {', '.join(labeller.asked())}, and not on pictures"
            )
    return [LabellerJudge(labeller) for labeller in labellers]


def by_service(text: str, prices: str, reader: Callable[[Sequence[str]], Sequence[str]]) -> ChatJudge:
    """`--service URL#MODEL --prices IN,OUT`; key and hosts as for `remote_judge`. Raises InputError."""
    address = Address.of(text, allowed_hosts())
    try:
        paid_in, paid_out = (float(price) for price in prices.split(","))
    except ValueError as error:
        raise InputError(f"--prices {prices}: expected dollars for a million tokens in and out, as in 10,30") from error
    client = ChatClient(address, concurrency=8, attempts=5, timeout=120.0, max_tokens=NEW_TOKENS, key_variable=KEY)
    return ChatJudge(address.model.replace("/", "_"), client, reader, (paid_in, paid_out))


def _message(text: str, pixels: Pixels) -> list[dict[str, Any]]:
    url = f"data:image/png;base64,{base64.b64encode(encode(pixels, 'png')).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def _arrays(inputs: Inputs) -> list[Pixels]:
    if inputs.pixels is None:
        raise InputError("a judge of pictures was given rows without")
    return list((inputs.pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy())


def _sample(pixels: Pixels, batch_row: int) -> Sample:
    return replace(
        Sample.from_prompt(Prompt("a picture", None, source="benchmark"), batch_row), pixels=pixels, batch_row=batch_row
    )


def _scores(flags: Sequence[float], coverage: Coverage) -> Scores:
    unsafe = torch.tensor(flags)
    return Scores({"image": unsafe}, {"image": unsafe[:, None].expand(-1, len(coverage.categories))})
