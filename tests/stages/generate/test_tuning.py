"""What makes drawing faster: what changes no byte is always on, what does has a fingerprint of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pipeline.engines.attempts import Attempts
from pipeline.engines.unit import OpenStage, run_stage
from pipeline.plan import Plan
from pipeline.rounds.unit_state import UnitState
from pipeline.stage import Stage, Step
from pipeline.storage.open_store import open_store
from schemas.errors import HazmatError, InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate import settings
from stages.generate.capture import Early
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.levels import levels_of
from stages.generate.text_cache import TextCache, remember_texts
from stages.generate.tuning import SpeedTuning
from tests.support.drawing import directory, drawn, samples, tiny

ROOT = Path(__file__).parents[3]
INTEGRATIONS = Path(sys.prefix) / "integrations"
COMPILED, IN_FP8 = SpeedTuning(compile=True), SpeedTuning(fp8=True)
BLOCKS = {
    "sdxl": {"BasicTransformerBlock", "ResnetBlock2D"},
    "flux": {"FluxTransformerBlock", "FluxSingleTransformerBlock"},
}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Compile by tracing alone, which takes a tenth of the time; the classes of what was compiled."""
    found: list[str] = []
    own = torch.nn.Module.compile

    def compile_(module: torch.nn.Module, **named: Any) -> None:
        found.append(type(module).__name__)
        own(module, **named)

    monkeypatch.setattr(settings, "COMPILER", "eager")
    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    return found


# asked for


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_a_compiled_family_draws_the_same_picture_in_any_company(
    pipelines: Path, family: str, traced: list[str]
) -> None:
    stage = replace(tiny(pipelines, family), tuning=COMPILED)
    draw = stage.open()
    together = [sample.pixels for sample in draw(samples())]
    alone = [sample.pixels for sample in draw(samples()[1:2])]
    assert np.array_equal(together[1], alone[0])  # type: ignore[arg-type]
    assert set(traced) == BLOCKS[family] | {"Decoder"}
    plain = [np.frombuffer(picture, np.uint8).astype(int) for picture in drawn(tiny(pipelines, family), samples())]
    for one, other in zip(together, plain, strict=True):
        assert one is not None and np.abs(one.reshape(-1) - other).max() <= 2


IN_FLOAT8 = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from stages.generate.tuning import SpeedTuning
from tests.support.drawing import drawn, samples, tiny
stage = tiny(Path(sys.argv[1]), "sd1")
plain, tuned = drawn(stage, samples()), replace(stage, tuning=SpeedTuning(fp8=True))
together = drawn(tuned, samples())
assert drawn(tuned, samples()[1:2]) == together[1:2]
off = [np.frombuffer(one, np.uint8).astype(int) - np.frombuffer(other, np.uint8) for one, other in zip(together, plain)]
print("mean difference", max(abs(each).mean() for each in off))
"""


@pytest.mark.slow
def test_float8_changes_the_picture_a_little_and_draws_it_in_any_company(tmp_path: Path) -> None:
    if not (INTEGRATIONS / "torchao").is_dir():
        pytest.skip("torchao is not installed; make setup puts it into .venv/integrations")
    paths = {"PYTHONPATH": f"{ROOT}:{tmp_path / 'only'}"}
    (tmp_path / "only").mkdir()  # torchao alone: torchvision, which is beside it, must not be seen
    for found in INTEGRATIONS.glob("torchao*"):  # with its version, which diffusers asks for
        (tmp_path / "only" / found.name).symlink_to(found)
    words = [sys.executable, "-c", IN_FLOAT8, str(tmp_path)]
    run = subprocess.run(words, env={**os.environ, **paths}, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    assert 0 < float(run.stdout.split()[-1]) < 16


def test_without_torchao_float8_says_what_to_install(pipelines: Path) -> None:
    with pytest.raises(HazmatError, match=r"--fp8 needs the package torchao: pip install 'hazmat\[fp8\]'"):
        replace(tiny(pipelines, "sd1"), tuning=IN_FP8).open()


def test_tuned_and_untuned_are_different_plans_and_the_untuned_is_that_of_before(pipelines: Path) -> None:
    plain = tiny(pipelines, "sd1")

    def fingerprint(tuning: SpeedTuning) -> str:
        return Plan((replace(plain, tuning=tuning),), samples(), 64, seed=0, pack=_Nothing()).fingerprint("")

    assert len({fingerprint(SpeedTuning()), fingerprint(COMPILED), fingerprint(IN_FP8)}) == 3
    assert "tuning" not in plain.describe()


def test_what_cannot_be_compiled_says_so_before_anything_is_loaded(pipelines: Path) -> None:
    with pytest.raises(InputError, match="--compile: CapturedDiffusion looks into the denoiser"):
        CapturedDiffusion(
            model=directory(pipelines, "sd1"), steps=2, keep=Early(steps=(1,)), tuning=COMPILED
        ).revision()
    unknown = replace(settings.FAMILIES["StableDiffusionPipeline"], blocks=())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings.FAMILIES, "StableDiffusionPipeline", unknown)
        with pytest.raises(InputError, match="--compile: which blocks of a StableDiffusionPipeline repeat is known of"):
            replace(tiny(pipelines, "sd1"), tuning=COMPILED).revision()


def test_the_flags_reach_the_generator_and_are_refused_where_there_is_none() -> None:
    from jobs.recipes.named import recipe_of

    stages = recipe_of(RunConfig(out="", compile=True, fp8=True)).stages
    assert [stage.tuning for stage in stages if hasattr(stage, "tuning")] == [SpeedTuning(True, True)]
    with pytest.raises(InputError, match="--compile and --fp8: recipe render has no"):
        recipe_of(RunConfig(out="", recipe="render", compile=True))


# always on


def test_levels_are_the_same_from_arrays_and_from_a_device() -> None:
    exact = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    exact[1, 0, 2, 3] = float("nan")
    arrays, finite = levels_of(exact.permute(0, 2, 3, 1).numpy())()
    tensors, also = levels_of(exact)()
    assert finite.tolist() == also.tolist() == [True, False, True]
    assert np.array_equal(arrays[[0, 2]], tensors[[0, 2]]) and tensors.dtype == np.uint8


def test_a_text_is_encoded_once_and_read_as_before(pipelines: Path) -> None:
    from stages.generate.loading import load

    pipeline = load(tiny(pipelines, "sdxl").weights(), 32)
    texts = ["a red apple", "two keys", "a red apple"]
    before = pipeline.encode_prompt(texts)
    remember_texts(pipeline)
    caches: list[TextCache] = [pipeline.text_encoder.forward, pipeline.text_encoder_2.forward]
    for expected in ((0, 1), (1, 1)):
        for one, other in zip(pipeline.encode_prompt(texts), before, strict=True):
            assert one is other is None or torch.equal(one, other)
        assert [(cache.hits, cache.misses) for cache in caches] == [expected, expected]
    pipeline.encode_prompt(texts[:2])  # among other rows: encoded anew
    assert [cache.misses for cache in caches] == [2, 2]


def test_the_texts_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.generate import text_cache

    calls: list[int] = []

    def encode(ids: torch.Tensor) -> tuple[torch.Tensor]:
        calls.append(len(ids))
        return (ids.float(),)

    monkeypatch.setattr(text_cache, "MOST_BYTES", 2 * 4 * 5)  # two rows of five numbers
    cache = TextCache(encode)
    rows = [torch.full((1, 5), number) for number in range(3)]
    for row in (*rows, rows[2], rows[0]):
        assert torch.equal(cache(row)[0], row.float())
    assert (cache.hits, cache.misses) == (1, 4)


@dataclass(frozen=True, kw_only=True)
class Device(Stage):
    """Says when a batch is begun and when it is fetched; the picture of one sample fails, either way."""

    adds: ClassVar[frozenset[str]] = frozenset({"pixels"})
    ahead: ClassVar[bool] = True
    batch_size: int = 2
    fails: str = ""
    log: tuple[list[str], ...] = ()

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            self.log[0].append(f"begin {len(batch)}")
            self._fail("begun", batch)
            return fetched(batch)

        def fetched(batch: Sequence[Sample]) -> Iterator[Sample]:
            self.log[0].append(f"fetch {len(batch)}")
            self._fail("fetched", batch)
            yield from (sample.with_(pixels=np.zeros((4, 4, 3), np.uint8)) for sample in batch)

        return step

    def _fail(self, when: str, batch: Sequence[Sample]) -> None:
        if self.fails == when and any("two keys" in sample.prompt for sample in batch):
            raise ValueError(f"cannot be {when}")


@dataclass(frozen=True)
class _Nothing:
    needs: ClassVar[frozenset[str]] = frozenset()


def test_the_next_batch_is_begun_before_the_last_is_fetched(tmp_path: Path) -> None:
    log: list[str] = []
    state = through(Device(log=(log,)), tmp_path)
    assert [sample.prompt for sample in state.samples] == [sample.prompt for sample in samples(5)]
    assert log == ["begin 2", "begin 2", "fetch 2", "begin 1", "fetch 2", "fetch 1"]


@pytest.mark.parametrize("fails", ["begun", "fetched"])
def test_a_sample_that_fails_ahead_costs_one_sample(tmp_path: Path, fails: str) -> None:
    state = through(Device(fails=fails, log=([],)), tmp_path)
    assert [row.message for row in state.quarantine] == [f"cannot be {fails}"]
    assert [sample.prompt for sample in state.samples] == [
        sample.prompt for sample in samples(5) if "two keys" not in sample.prompt
    ]


def through(stage: Device, folder: Path) -> UnitState:
    state = UnitState(0, samples(5))
    run_stage(OpenStage(0, stage), state, Attempts(open_store(str(folder)), "rounds/000"))
    return state
