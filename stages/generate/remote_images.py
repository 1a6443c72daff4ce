"""Draw with a generator behind an address, `openai:URL#MODEL`: vLLM-Omni, SGLang, LocalAI, `jobs/serve.py`, hosted ones."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from pipeline.stage import BadSamplesError, Step
from schemas.errors import HazmatError, InputError
from schemas.generation import ADDRESS, GenerationSettings, settings_of
from schemas.sample import Sample
from stages.generate.settable import SettableGenerator
from stages.remote.address import Address
from stages.remote.images_client import (
    Answer,
    ImageRequest,
    ImagesClient,
    RemoteFault,
    RemotePicture,
    RemoteRefusal,
    openai_library,
)

ALL_FAIL_MINIMUM = 4
"""A batch of at least this many of which every request fails for good says that the service is down, not the samples."""
USUAL_SECONDS = 8.0
"""That a request takes: services of today answer within two seconds (few steps) to half a minute. No figure of ours."""
HOSTED = ("gpt-image", "chatgpt-image", "dall-e")
"""Beginnings of the names of models that take the public fields and nothing else."""
EXTENSIONS = ("steps", "guidance_scale", "true_cfg_scale", "negative_prompt")
"""Settings that the public call lacks; diffusion servers take them by these names, and steps as `num_inference_steps`."""
NEVER_SENT = ("scheduler", "loras", "dtype")
UNVERIFIABLE = "unverifiable"
"""Stands for the digest of weights that nobody here has seen."""


@dataclass(frozen=True, kw_only=True)
class RemoteImages(SettableGenerator):
    """`model` is openai:URL or openai:URL#NAME. Only this machine is asked, or a host in `allowed_hosts`.

    At most `concurrency` requests at once in a worker, each tried `attempts` times with growing pauses or as `Retry-After` says. A
    prompt that the service's own guard stops is `refused`: a result, with a row in the table of refusals. A request that fails for
    good is its sample's fault. The key is taken from the environment variable `key_variable`. `price` is a picture's, `price_in`
    and `price_out` are for a million tokens; what a picture cost stands in its row.

    What comes back cannot be made again (level L0): the weights are unknown, and most services draw anew each time. Raises
    InputError for a host that is not allowed, and for settings that are not sent.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset(
        {"pixels", "generator", "revision", "seed", "cost", "refused", "generation_prompt", "negative_prompt"}
        | {"steps", "guidance_scale", "true_cfg_scale"}
    )
    model: str
    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    size: int | tuple[int, int] | None = None
    negative_prompt: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    concurrency: int = 8
    attempts: int = 6
    timeout: float = 180.0  # seconds for one request
    key_variable: str = "HAZMAT_GENERATOR_KEY"
    price: float = 0.0
    price_in: float = 0.0
    price_out: float = 0.0
    batch_size: int = 64  # requests that are planned together; a unit's

    def __post_init__(self) -> None:
        self.address()
        _check_sent(self.settings(), self.public)

    @property
    def level(self) -> str:
        """Nothing that it gives can be made again."""
        return "L0"

    def expected_seconds(self, on_cpu: bool) -> float:
        """Of one picture; `USUAL_SECONDS` where it is asked for alone."""
        return USUAL_SECONDS / self.concurrency

    @property
    def public(self) -> bool:
        """Whether the model takes the public call's fields only: no seed, no steps."""
        return self.address().model.rpartition("/")[2].startswith(HOSTED)

    def address(self) -> Address:
        """Where to ask and for which model. Raises InputError."""
        return Address.of(self.model.removeprefix(ADDRESS), self.allowed_hosts, "--model openai", model_needed=False)

    def settings(self, text: str | None = None) -> GenerationSettings:
        """What a row that asks for this (`Sample.asked_settings`) is drawn with."""
        own = GenerationSettings(
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            true_cfg_scale=self.true_cfg_scale,
            size=(self.size, self.size) if isinstance(self.size, int) else self.size,
            negative_prompt=self.negative_prompt,
        )
        return own if text is None else settings_of(text).over(own)

    def check_row(self, text: str | None) -> None:
        """As in the contract."""
        _check_sent(self.settings(text), self.public)

    def with_settings(self, settings: GenerationSettings) -> Self:
        """As in the contract."""
        _check_sent(settings, self.public)
        return replace(self, **settings.given())

    def describe(self) -> dict[str, str]:
        """Without what says how it is asked: more patience gives no other pictures."""
        how = ("allowed_hosts", "concurrency", "attempts", "timeout", "key_variable")
        return {name: value for name, value in super().describe().items() if name not in how}

    def open(self) -> Step:
        """Nothing is asked yet."""
        openai_library()
        client = ImagesClient(self.address(), self.concurrency, self.attempts, self.timeout, self.key_variable)
        answers: dict[str, Answer] = {}  # paid for, of a batch that comes again without those at fault

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            asked = {sample.key: self._request(sample) for sample in batch if sample.key not in answers}
            answers.update(asyncio.run(client.ask_all(asked)))
            self._blame(batch, answers)
            for sample in batch:
                yield self._told(sample, answers.pop(sample.key))

        return step

    def _blame(self, batch: Sequence[Sample], answers: dict[str, Answer]) -> None:
        """Raise for the samples whose requests failed for good, and forget these; HazmatError where all did."""
        bad = {}
        for sample in batch:
            answer = answers[sample.key]
            if isinstance(answer, RemotePicture) and (reason := self._wrong_size(sample, answer)):
                answer = RemoteFault(reason)
            if isinstance(answer, RemoteFault):
                bad[sample.key] = answer.reason
        for key in bad:
            del answers[key]
        if len(bad) == len(batch) >= ALL_FAIL_MINIMUM:
            raise HazmatError(f"{self.model}: all {len(bad)} requests failed; the first: {next(iter(bad.values()))}")
        if bad:
            raise BadSamplesError(bad)

    def _wrong_size(self, sample: Sample, drawn: RemotePicture) -> str | None:
        size = self.settings(sample.asked_settings).size
        height, width, _ = drawn.pixels.shape
        if size in (None, (width, height)):
            return None
        return (
            f"{width}x{height} was drawn where {size[0]}x{size[1]} was asked for; leave the size out, or ask for that"
        )

    def _request(self, sample: Sample) -> ImageRequest:
        settings, model = self.settings(sample.asked_settings), self.address().model
        fields: dict[str, Any] = {"prompt": sample.generation_prompt}
        if model:
            fields["model"] = model
        if settings.size is not None:
            fields["size"] = f"{settings.size[0]}x{settings.size[1]}"
        if not self.public or "dall-e" in model:  # the others answer with base64 always, and refuse to be asked for it
            fields["response_format"] = "b64_json"
        if self.public:
            return ImageRequest(fields, {})
        extra = {name: getattr(settings, name) for name in EXTENSIONS if getattr(settings, name) is not None}
        if "steps" in extra:
            extra["num_inference_steps"] = extra.pop("steps")
        return ImageRequest(fields, {**extra, "seed": sample.drawing_seed(self.name)})

    def _told(self, sample: Sample, answer: Answer) -> Sample:
        settings = self.settings(sample.asked_settings)
        known = sample.with_(
            generator=self.model,
            revision=UNVERIFIABLE,
            seed=None if self.public else sample.drawing_seed(self.name),
            **{name: getattr(settings, name) for name in EXTENSIONS},
        )
        if isinstance(answer, RemoteRefusal):
            return known.with_(refused=answer.reason)
        assert isinstance(answer, RemotePicture), "faults were blamed"
        return known.with_(pixels=answer.pixels, cost=self._cost(answer))

    def _cost(self, drawn: RemotePicture) -> float | None:
        if not (self.price or self.price_in or self.price_out):
            return None
        return self.price + (drawn.tokens_in * self.price_in + drawn.tokens_out * self.price_out) / 1e6


def _check_sent(settings: GenerationSettings, public: bool) -> None:
    given = settings.given()
    for name in (*NEVER_SENT, *(EXTENSIONS if public else ())):
        if name in given:
            raise InputError(f"{name} {given[name]}: a generator behind an address takes none; leave it out")
