"""Filters around and inside any diffusers pipeline: before it draws, while it draws, and after.

guard = GuardedPipeline(pipeline, text=load("models/text"), early=load("models/wukong"), image=load("models/image"))
answer = guard(["a red apple", "a dog"], num_inference_steps=10)
answer.images[0], answer.refusals[0]    # a picture and None, or None and who refused it, when, and with which scores
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.capture import GRID, WORDS, block_name, step_of
from schemas.errors import InputError
from schemas.protocols import Inputs, Scorer, Scores
from stages.generate.alive_rows import only_alive
from stages.generate.capture import Block, Noise, StepCapture, Words, cross_attentions
from stages.generate.step_hook import DenoisingStep, StepHook, denoiser_of

WIDEST = ("pair", "image", "prompt")


class EarlyScorer(Scorer, Protocol):
    """A scorer of captures that is asked when `share` of the schedule is done."""

    @property
    def share(self) -> float:
        """In (0, 1]."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who refused a row: `where` is text, early or image; `step` steps were done then; `unsafe` and `categories` are the scores."""

    where: str
    step: int
    unsafe: float
    categories: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class GuardedAnswer:
    """Rows in the order of the prompts. `images` is a list with None for what was refused; with output_type
    "np" float32 [n, h, w, 3] with zeros there, or None if all were refused before the end.
    `evaluations` counts rows that went through the denoiser (guidance counts double): what it cost.
    """

    images: Any
    refusals: tuple[Refusal | None, ...]
    evaluations: int


class _AllRefusedError(Exception):
    """Nothing is left to draw."""


@dataclass
class _Call:
    """One call under way: who is refused so far, and the rows that went through the denoiser."""

    prompts: list[str]
    refusals: list[Refusal | None]
    watch: StepHook
    evaluations: int = 0
    compact: bool = field(default=False)

    def refuse(self, where: str, step: int, scorer: Scorer, scores: Scores) -> None:
        """Note whom the scorer flags of those that are left; with `compact` they leave the batch."""
        scope = next(scope for scope in WIDEST if scope in scores.unsafe)
        names = scorer.coverage.categories
        for row, unsafe in enumerate(scores.unsafe[scope].tolist()):
            if self.refusals[row] is None and unsafe > scorer.threshold:
                categories = dict(zip(names, scores.categories[scope][row].tolist(), strict=True))
                self.refusals[row] = Refusal(where, step, unsafe, categories)
        if self.compact:
            import torch

            self.watch.alive = torch.tensor(self.left, dtype=torch.int64)

    @property
    def left(self) -> list[int]:
        """Rows that nobody refused yet."""
        return [row for row, refusal in enumerate(self.refusals) if refusal is None]


class GuardedPipeline:
    """`pipeline` is any text-to-image pipeline of diffusers; each of `text`, `early` and `image` is a `Scorer` or left out.

    Padded (the default), all rows are computed to the end unless none is left, and what passes has the very bytes that it has
    without a guard. With `compact`, refused rows leave the denoiser's batch and the autoencoder's: less is computed, and the last
    bits of the others may differ, since kernels depend on the batch's shape. Outside of a call the pipeline is as it was.
    """

    def __init__(
        self,
        pipeline: Any,
        *,
        text: Scorer | None = None,
        early: EarlyScorer | None = None,
        image: Scorer | None = None,
        compact: bool = False,
    ) -> None:
        """Raises InputError for what is no pipeline, or where the early scorer reads what this one does not have."""
        self.pipeline, self.text, self.early, self.image, self.compact = pipeline, text, early, image, compact
        if denoiser_of(pipeline) is None or getattr(pipeline, "scheduler", None) is None:
            raise InputError(
                f"{type(pipeline).__name__} has no scheduler and denoiser; expected a pipeline of diffusers"
            )
        if early is not None:
            self._captures(early, 1)

    def __getattr__(self, name: str) -> Any:
        """What the guard does not have is the pipeline's."""
        return getattr(self.pipeline, name)

    def __call__(self, prompt: str | Sequence[str], **named: Any) -> GuardedAnswer:
        """As the pipeline's own call. Raises InputError for several images a prompt: repeat the prompt instead."""
        if named.get("num_images_per_prompt", 1) != 1:
            raise InputError("num_images_per_prompt: a guard judges one image a prompt; repeat the prompt instead")
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        kind = named.pop("output_type", "pil")
        with self._watching(prompts) as call:
            if self.text is not None:
                call.refuse("text", 0, self.text, self.text.score(Inputs(tuple(prompts))))
            images = self._draw(call, named) if call.left else None
            if images is not None and self.image is not None and call.left:
                self._judge(call, images)
        return GuardedAnswer(self._shown(call, images, kind), tuple(call.refusals), call.evaluations)

    @contextmanager
    def _watching(self, prompts: list[str]) -> Iterator[_Call]:
        watch = StepHook.of(self.pipeline)
        kept = list(watch.listeners)
        call = _Call(prompts, [None] * len(prompts), watch, compact=self.compact)

        def count(rows: int) -> None:
            call.evaluations += rows

        try:
            with only_alive(self.pipeline, watch, len(prompts), count):
                yield call
        finally:
            watch.listeners, watch.alive = kept, None
            if not kept:
                watch.close()

    def _draw(self, call: _Call, named: Mapping[str, Any]) -> Any:
        """float32 [n, h, w, 3] in [0, 1]; None where everything was refused on the way."""
        steps = named.get("num_inference_steps")
        captures: list[StepCapture] = []

        def check(moment: DenoisingStep) -> None:
            assert self.early is not None
            if moment.step != step_of(self.early.share, moment.steps):
                return
            seen = {capture.name: capture.take().float() for capture in captures}
            call.refuse("early", moment.step, self.early, self.early.score(Inputs(tuple(call.prompts), captures=seen)))
            if not call.left:
                raise _AllRefusedError

        if self.early is not None:
            if steps is None:
                raise InputError("num_inference_steps has to be said where an early step is judged")
            captures = self._captures(self.early, step_of(self.early.share, steps))
            for capture in captures:
                capture.attach(self.pipeline)
            call.watch.listeners.append(check)
        try:
            return self.pipeline(call.prompts, output_type="np", **named).images
        except _AllRefusedError:
            self.pipeline.maybe_free_model_hooks()
            return None
        finally:
            for capture in captures:
                capture.detach()

    def _captures(self, early: EarlyScorer, step: int) -> list[StepCapture]:
        """What the early scorer reads, by the names that it reads it under. Raises InputError for what cannot be had here."""
        denoiser = denoiser_of(self.pipeline)
        paths = {block_name(path): path for path in cross_attentions(denoiser)}
        captures: list[StepCapture] = []
        for name in sorted(early.coverage.reads - {"prompt"}):
            if name == "latent":
                captures.append(StepCapture(name, step))
            elif name == "noise":
                captures.append(Noise(name, step))
            elif name == WORDS and paths:
                captures.append(Words(next(iter(paths.values())), step))
            elif name in paths:
                captures.append(Block(paths[name], step, GRID))
            else:
                raise InputError(
                    f"{early.name} reads {name!r}, which {type(denoiser).__name__} does not have; it has latent, noise, "
                    f"{', '.join(paths) or 'and no attention to words'}"
                )
        return captures

    def _judge(self, call: _Call, images: Any) -> None:
        import torch

        assert self.image is not None
        pixels = torch.from_numpy((images * 255).round() / 255).permute(0, 3, 1, 2).float().contiguous()
        call.refuse("image", call.watch.done, self.image, self.image.score(Inputs(tuple(call.prompts), pixels)))

    def _shown(self, call: _Call, images: Any, kind: str) -> Any:
        """As the caller wants them; nothing of what was refused is given out."""
        gone = [row for row, refusal in enumerate(call.refusals) if refusal is not None]
        if images is None:
            return None if kind == "np" else [None] * len(call.prompts)
        images[gone] = 0
        if kind == "np":
            return images
        if kind != "pil":
            raise InputError(f"output_type {kind!r}: a guard gives pil or np")
        shown = self.pipeline.image_processor.numpy_to_pil(images)
        return [None if row in gone else picture for row, picture in enumerate(shown)]
