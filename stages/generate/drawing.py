"""What every stage that draws with a diffusion pipeline shares: which weights, each row's settings, the check of the result."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pipeline.stage import BadSamplesError, Resources, Step, placed
from schemas.errors import HazmatError, InputError
from schemas.generation import GenerationSettings, settings_of
from schemas.sample import Sample
from stages.generate.calling import ROW_FIELDS, Call, Ready, Row, buckets
from stages.generate.drawn_bucket import DrawnBucket
from stages.generate.expected_seconds import known_seconds
from stages.generate.levels import Fetch
from stages.generate.load_options import AS_IT_IS, LoadOptions
from stages.generate.loading import Weights, load, scheduler_of
from stages.generate.long_prompts import CHUNKS, TRUNCATE, check_how, chunks_of, refuse_chunks
from stages.generate.pipeline_directory import Size
from stages.generate.prompt_tokens import TextEncoder, encoders_on_disk, text_encoders
from stages.generate.row_settings import bucket_of, kind_of, planned_rows, usable
from stages.generate.settable import SettableGenerator
from stages.generate.text_cache import remember_texts
from stages.generate.tuning import UNTUNED, SpeedTuning

LOADED_AT_ONCE = 2  # sets of weights that a worker keeps where rows ask for LoRAs or precisions of their own


@dataclass(frozen=True, kw_only=True)
class Drawing(SettableGenerator):
    """`model` is a diffusers directory or hub id; `unet` and `lora` are .safetensors files (or OWNER/NAME/FILE) for it.

    `scheduler` names one of `settings.SCHEDULES`, None keeps the model's own. `steps` and `guidance_scale` are the pipeline's
    own, None what its family or itself has by default; models distilled to few steps take a guidance of 0. `size` is a side or
    (width, height) in pixels, None the model's own; `loras` are FILE[:WEIGHT], fused into the weights; `dtype` is the weights'.
    With `long_prompts` "chunks" a prompt beyond its encoders is encoded whole (`long_prompts.py`), else its beginning.
    What a row sets itself (`asked_settings`) comes before all of these; rows with equal settings share their calls.

    Every sample has its own CPU generator, seeded from its key or as its source fixed it; a batch always computes its planned
    rows, or each row alone where a class was not measured to draw the same in company. Raises InputError for weights that cannot
    be loaded and for what cannot be drawn with them, before anything is loaded.
    """

    adds: ClassVar[frozenset[str]] = ROW_FIELDS
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    model: str = "assets/world/t2i"
    unet: str | None = None
    lora: str | None = None
    scheduler: str | None = None
    steps: int | None = 10
    guidance_scale: float | None = 3.0
    size: int | Size | None = None
    true_cfg_scale: float | None = None
    negative_prompt: str | None = None
    loras: tuple[str, ...] = ()
    dtype: str | None = None
    tuning: SpeedTuning = field(default=UNTUNED, repr=False)
    batch_size: int = 16
    long_prompts: str = field(default=TRUNCATE, repr=False)
    load: LoadOptions = field(default=AS_IT_IS, repr=False)
    watches_batches: ClassVar[bool] = False  # whether what is prepared needs all rows in one call
    fixed: ClassVar[frozenset[str]] = frozenset()  # settings that rows cannot have of their own here

    @abstractmethod
    def prepare(self, pipeline: Any) -> Any:
        """The loaded text-to-image pipeline as this stage calls it."""

    @abstractmethod
    def inputs(self, weights: Weights, rows: Sequence[Sample], size: Size) -> dict[str, Any]:
        """What the pipeline is called with beyond prompts, steps, guidance and generators."""

    def weights(self) -> Weights:
        """Find and check the weights, and that they can draw as asked; loads nothing."""
        weights = Weights.find(self.model, self.unet, self._adapters(), self.scheduler, self.load)
        usable(self.settings(), weights)
        self.tuning.check(weights.kind)
        if self.tuning.compile and self.watches_batches:
            raise InputError(
                f"--compile: {type(self).__name__} looks into the denoiser, which compiled blocks do not let it"
            )
        if self.watches_batches and not weights.kind.family.together:
            raise InputError(
                f"--model {self.model}: a {weights.kind.name} is drawn row by row, which {type(self).__name__} cannot watch"
            )
        if self.long_prompts == CHUNKS:
            refuse_chunks(weights.directory)
        return weights

    def describe(self) -> dict[str, str]:
        """As before there were chunks of prompts, tuning and other ways to load, where they are not used: such runs go on."""
        usual = {"long_prompts": repr(TRUNCATE), "load": "", "tuning": repr(UNTUNED)}
        described = super().describe() | {"load": self.load.describe()}
        return {name: text for name, text in described.items() if usual.get(name) != text}

    def settings(self, text: str | None = None) -> GenerationSettings:
        """What a row that asks for this (`Sample.asked_settings`) is drawn with."""
        own = GenerationSettings(
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            true_cfg_scale=self.true_cfg_scale,
            size=(self.size, self.size) if isinstance(self.size, int) else self.size,
            scheduler=self.scheduler,
            negative_prompt=self.negative_prompt,
            loras=self._adapters(),
            dtype=self.dtype,
        )
        return own if text is None else settings_of(text).over(own)

    def check_row(self, text: str | None) -> None:
        """Raise InputError, which begins with the setting's name, for a row's own settings that cannot be drawn with."""
        if text is None:
            return
        own = settings_of(text).given()
        for name in self.fixed & own.keys():
            raise InputError(f"{name} {own[name]}: {self.name} takes none of a row's own; set it for all")
        self.as_of(self.settings(text)).weights()

    def as_of(self, settings: GenerationSettings) -> "Drawing":
        """This stage with a row's settings as its own."""
        values = {name: value for name, value in settings.given().items() if name != "loras"}
        return replace(self, **values, lora=None, loras=settings.loras)

    def _adapters(self) -> tuple[str, ...]:
        """All LoRAs."""
        return (*(() if self.lora is None else (self.lora,)), *self.loras)

    def expected_seconds(self, on_cpu: bool) -> float:
        """Of one picture with this stage's own settings."""
        return known_seconds(self.weights, self.settings(), on_cpu)

    def revision(self) -> str:
        """Digest of all weights; refuses what cannot be loaded."""
        return self.weights().digest()

    def batches(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Rows that are drawn in one call together; where none has settings of its own, as they come."""
        chunked = self.long_prompts == CHUNKS
        if not chunked and all(sample.asked_settings is None for sample in samples):
            yield from super().batches(samples)
            return
        weights, buckets = self.weights(), dict[Any, list[Sample]]()
        kind, encoders = weights.kind, encoders_on_disk(weights.directory) if chunked else ()
        for sample in samples:
            try:
                row = self._row(sample, encoders)
                key = bucket_of(row.settings, kind), row.chunks
            except InputError:
                key = None  # the step says what is wrong with them
            buckets.setdefault(key, []).append(sample)
        for alike in buckets.values():
            for first in range(0, len(alike), self.batch_size):
                part = alike[first : first + self.batch_size]
                yield placed(part, planned_rows(len(part), self.batch_size))

    def open(self) -> Step:
        """Load the pipeline onto the accelerator if there is one."""
        weights = self.weights()
        ready = {(self.settings().loras, self.settings().dtype): (own := self._ready(weights))}
        fit: dict[GenerationSettings, str | None] = {}

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            self._refuse(batch, fit)
            rows = [self._row(sample, own.encoders) for sample in batch]
            begun = [self._draw(self._loaded(ready, bucket[0]), bucket) for bucket in buckets(rows, weights)]
            return fetched(batch, begun)

        def fetched(batch: Sequence[Sample], begun: list[Iterator[Sample]]) -> Iterator[Sample]:
            drawn = {sample.key: sample for samples in begun for sample in samples}
            yield from (drawn[sample.key] for sample in batch)

        return step

    def _row(self, sample: Sample, encoders: Sequence[TextEncoder]) -> Row:
        settings, chunked = self.settings(sample.asked_settings), self.long_prompts == CHUNKS
        chunks = chunks_of(encoders, sample.generation_prompt, settings.negative_prompt) if chunked else 1
        return Row(sample, settings, self.name, chunks)

    def _refuse(self, batch: Sequence[Sample], fit: dict[GenerationSettings, str | None]) -> None:
        """Raise BadSamplesError for rows whose own settings cannot be drawn with; `fit` remembers the reasons."""
        bad = {}
        for sample in batch:
            kind = kind_of(settings_of(sample.asked_settings))
            if kind not in fit:
                try:
                    self.check_row(sample.asked_settings)
                    fit[kind] = None
                except InputError as error:
                    fit[kind] = str(error)
            if (reason := fit[kind]) is not None:
                bad[sample.key] = reason
        if bad:
            raise BadSamplesError(bad)

    def in_one_call(self, batch: Sequence[Sample]) -> list[list[Sample]]:
        """The samples of a batch by the calls that draw them: one, where the batch was planned by `batches`."""
        rows = [self._row(sample, ()) for sample in batch]
        return [[row.sample for row in bucket] for bucket in buckets(rows, self.weights())]

    def _ready(self, weights: Weights) -> Ready:
        """Load as this stage's settings say, and prepare."""
        width, height = weights.directory.size(self.size)
        loaded = load(weights, max(width, height), self.dtype, self.tuning)
        remember_texts(loaded)
        encoders = text_encoders(loaded, weights.kind.fixed_arguments())
        autoencoder = getattr(loaded, weights.directory.autoencoder or "", None)
        pipeline = self.prepare(loaded)
        return Ready(pipeline, weights, encoders, autoencoder, {self.scheduler: getattr(pipeline, "scheduler", None)})

    def _loaded(self, ready: dict[Any, Ready], row: Row) -> Ready:
        """The weights with the row's LoRAs and precision; those that waited longest go where there are too many."""
        key, wanted = (row.settings.loras, row.settings.dtype), self.as_of(row.settings)
        if key not in ready:
            while len(ready) >= LOADED_AT_ONCE:
                del ready[next(iter(ready))]
            ready[key] = wanted._ready(wanted.weights())
        pipeline = ready[key] = ready.pop(key)
        schedule = row.settings.scheduler
        if schedule is not None and schedule not in pipeline.schedules:
            pipeline.schedules[schedule] = scheduler_of(schedule, pipeline.schedules[self.scheduler])
        return pipeline

    def _draw(self, ready: Ready, bucket: Sequence[Row]) -> Iterator[Sample]:
        """Begin to draw the rows of one bucket; who iterates waits for their pictures."""
        fetch = self._begun(Call(ready, self.inputs, bucket[0].sample.batch_rows or self.batch_size), bucket)
        swapped = filter(None, (self.unet, self.load.denoiser, *bucket[0].settings.loras, *self.load.embeddings))
        drawn = DrawnBucket.begun(ready, bucket, [self.model, *swapped], chunked=self.long_prompts == CHUNKS)
        return drawn.samples(fetch)

    def _begun(self, call: Call, bucket: Sequence[Row]) -> Fetch:
        """Begin a call; rows without a sample hold nothing of use."""
        drawn = call.draw(bucket)
        if drawn is None:
            raise HazmatError(f"{self.model} gave no pictures")
        return drawn

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"steps is {self.steps}; a picture takes at least 1")
        check_how(self.long_prompts, self.name, self.watches_batches)
