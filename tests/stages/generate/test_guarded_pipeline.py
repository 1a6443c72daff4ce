"""Filters before, inside and after any diffusers pipeline: they refuse with scores, and what passes keeps its bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from schemas.errors import InputError
from schemas.protocols import Coverage, Inputs, Scores
from stages.generate.diffusion import Diffusion
from stages.generate.guarded_diffusion import GuardedDiffusion
from stages.generate.guarded_pipeline import GuardedAnswer, GuardedPipeline
from stages.generate.step_hook import StepHook
from tests.support.drawing import PROMPTS, directory, drawn, samples
from tests.support.tiny_pipelines import SIDE

STEPS = 5
FAMILIES = ["sd1", "sdxl", "pixart", *(pytest.param(f, marks=pytest.mark.slow) for f in ("sd3", "flux", "sd2"))]


@dataclass(frozen=True)
class Rule:
    """A scorer that flags what a rule says of the rows; `share` as early scorers have it. Counts the rows that it is asked of."""

    reads: frozenset[str]
    rule: Callable[[Inputs], list[bool]]
    name: str = "rule"
    threshold: float = 0.5
    share: float = 0.4

    @property
    def coverage(self) -> Coverage:
        return Coverage(self.reads, ("image",), ("hate",))

    def score(self, inputs: Inputs) -> Scores:
        flagged = torch.tensor(self.rule(inputs)).float() * 0.8 + 0.1
        return Scores({"image": flagged}, {"image": flagged[:, None]})

    def load(self) -> Any:
        return self

    def digest(self) -> str:
        return "rule"


def about(word: str) -> Callable[[Inputs], list[bool]]:
    return lambda inputs: [word in prompt for prompt in inputs.prompts]


def everyone(inputs: Inputs) -> list[bool]:
    return [True] * len(inputs)


TEXT = Rule(frozenset({"prompt"}), about("dog"))
EARLY = Rule(frozenset({"latent", "noise"}), about("apple"))
IMAGE = Rule(frozenset({"image"}), about("house"))


def pipeline_of(pipelines: Path, family: str) -> Any:
    from diffusers import DiffusionPipeline

    loaded = DiffusionPipeline.from_pretrained(directory(pipelines, family), safety_checker=None)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def call(drawing: Any, **named: Any) -> Any:
    """Five prompts with a seed each."""
    generators = [torch.Generator().manual_seed(row) for row in range(len(PROMPTS))]
    given: dict[str, Any] = {
        "num_inference_steps": STEPS,
        "height": SIDE,
        "width": SIDE,
        "output_type": "np",
        "guidance_scale": 3.0,
    }
    if "PixArt" in type(getattr(drawing, "pipeline", drawing)).__name__:
        given |= {"use_resolution_binning": False, "clean_caption": False}  # as stages/generate/settings.py has it
    return drawing(list(PROMPTS), generator=generators, **{**given, **named})


def refused(answer: GuardedAnswer) -> list[str | None]:
    return [refusal and refusal.where for refusal in answer.refusals]


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_what_passes_has_the_bytes_that_it_has_without_a_guard(pipelines: Path, family: str) -> None:
    pipeline = pipeline_of(pipelines, family)
    bare = call(pipeline).images
    answer = call(GuardedPipeline(pipeline, text=TEXT, early=EARLY, image=IMAGE))
    assert refused(answer) == ["early", "text", None, "image", None]
    for row in (2, 4):
        assert answer.images[row].tobytes() == bare[row].tobytes()
    assert not answer.images[[0, 1, 3]].any(), "something of what was refused came out"
    assert call(pipeline).images.tobytes() == bare.tobytes(), "the pipeline is not as it was"


@pytest.mark.parametrize("family", FAMILIES)
def test_compact_refused_rows_leave_and_the_others_look_the_same(pipelines: Path, family: str) -> None:
    pipeline = pipeline_of(pipelines, family)
    bare = call(pipeline).images
    padded = call(GuardedPipeline(pipeline, text=TEXT, early=EARLY))
    compact = call(GuardedPipeline(pipeline, text=TEXT, early=EARLY, compact=True))
    assert refused(compact) == refused(padded) == ["early", "text", None, None, None]
    assert np.abs(compact.images[2:] - bare[2:]).max() < 1e-3
    # 5 rows and 5 steps; the text filter takes one row from the start, the early one another after 2 steps.
    assert compact.evaluations / padded.evaluations == (4 * 2 + 3 * 3) / (5 * 5)


@pytest.mark.parametrize("compact", [False, True])
def test_it_stops_where_nothing_is_left_to_draw(pipelines: Path, compact: bool) -> None:
    pipeline = pipeline_of(pipelines, "sd1")
    whole = call(GuardedPipeline(pipeline, image=IMAGE)).evaluations
    early = Rule(frozenset({"latent"}), everyone)
    answer = call(GuardedPipeline(pipeline, early=early, compact=compact), output_type="pil")
    assert answer.images == [None] * 5 and refused(answer) == ["early"] * 5
    assert answer.evaluations == whole * 2 / STEPS
    answer = call(GuardedPipeline(pipeline, text=Rule(frozenset({"prompt"}), everyone), compact=compact))
    assert answer.images is None and answer.evaluations == 0
    assert not vars(pipeline.scheduler).get("_hazmat_watch"), "the watch was left behind"


def test_a_refusal_says_who_when_and_with_which_scores(pipelines: Path) -> None:
    answer = call(GuardedPipeline(pipeline_of(pipelines, "sd1"), early=EARLY), output_type="pil")
    refusal = answer.refusals[0]
    assert refusal is not None and (refusal.where, refusal.step) == ("early", 2)
    assert refusal.unsafe == pytest.approx(0.9) and refusal.categories == {"hate": pytest.approx(0.9)}
    assert answer.images[0] is None and answer.images[1].size == (SIDE, SIDE)


@pytest.mark.parametrize("family", ["sd1", "pixart"])
def test_the_early_scorer_sees_blocks_and_words_of_the_rows_that_are_left(pipelines: Path, family: str) -> None:
    seen: list[dict[str, Tensor]] = []

    def look(inputs: Inputs) -> list[bool]:
        seen.append(dict(inputs.captures))
        return [False] * len(inputs)

    pipeline = pipeline_of(pipelines, family)
    block = {"sd1": "mid_0_0", "pixart": "block_0"}[family]
    if family == "sd1":
        block = "up_0_0_0"
    early = Rule(frozenset({block, "words", "latent"}), look)
    padded = call(GuardedPipeline(pipeline, text=TEXT, early=early))
    call(GuardedPipeline(pipeline, text=TEXT, early=early, compact=True))
    whole, cut = seen
    assert whole.keys() == cut.keys() == {block, "words", "latent"} and refused(padded)[1] == "text"
    assert cut[block][1].abs().sum() == 0, "the refused row was still computed"
    left = [0, 2, 3, 4]
    assert torch.allclose(cut[block][left], whole[block][left], atol=1e-2) and whole[block].shape[0] == 5


def test_only_the_pictures_that_are_left_reach_the_caller_when_the_last_filter_refuses(pipelines: Path) -> None:
    answer = call(GuardedPipeline(pipeline_of(pipelines, "sd1"), image=Rule(frozenset({"image"}), everyone)))
    assert not answer.images.any() and refused(answer) == ["image"] * 5


# errors


def test_what_the_denoiser_does_not_have_is_said_before_anything_is_drawn(pipelines: Path) -> None:
    early = Rule(frozenset({"up_9_9_9"}), everyone)
    with pytest.raises(InputError, match="reads 'up_9_9_9', which UNet2DConditionModel does not have"):
        GuardedPipeline(pipeline_of(pipelines, "sd1"), early=early)


def test_other_wrong_uses_are_said(pipelines: Path) -> None:
    with pytest.raises(InputError, match="expected a pipeline of diffusers"):
        GuardedPipeline(object())
    guard = GuardedPipeline(pipeline_of(pipelines, "sd1"), early=EARLY)
    with pytest.raises(InputError, match="repeat the prompt"):
        guard("a key", num_images_per_prompt=2)
    with pytest.raises(InputError, match="num_inference_steps has to be said"):
        guard("a key")
    with pytest.raises(InputError, match="gives pil or np"):
        call(guard, output_type="latent")


# as a stage


def test_as_a_stage_what_is_refused_is_dropped_and_the_rest_is_what_diffusion_draws(pipelines: Path) -> None:
    model = directory(pipelines, "sd1")
    plain = Diffusion(model=model, steps=STEPS, size=SIDE, batch_size=3)
    stage = GuardedDiffusion(model=model, steps=STEPS, size=SIDE, batch_size=3, text=TEXT, early=EARLY)
    assert drawn(stage, samples()) == drawn(plain, samples())[2:]
    assert drawn(stage, samples()[1:2]) == [], "all of a batch may be refused"
    assert stage.describe()["text"] == "rule"


def test_a_stage_without_filters_is_refused(pipelines: Path) -> None:
    with pytest.raises(InputError, match="guards nothing"):
        GuardedDiffusion(model=directory(pipelines, "sd1"), size=SIDE).open()


def test_the_watch_counts_every_call_anew(pipelines: Path) -> None:
    pipeline = pipeline_of(pipelines, "sd1")
    watch = StepHook.of(pipeline)
    for _ in range(2):
        call(pipeline, output_type="latent")
        assert (watch.done, watch.steps) == (STEPS, STEPS)
    assert StepHook.of(pipeline) is watch
