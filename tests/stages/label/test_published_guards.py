"""Published guards and families of vision-language models, each as a small model of its own class with random weights."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from schemas.vote import Vote
from stages.generate.render import Render
from stages.label.by_name import labeller_classes, labellers_of
from stages.label.llama_guard import HAZARDS, LlamaGuard
from stages.label.llavaguard import CATEGORIES, Llavaguard
from stages.label.vllm_judge import VllmJudge
from stages.label.vlm_judge import VlmJudge
from stages.world.grammar import prompts
from tests.support import tiny_guards

ROOT = Path(__file__).parents[3]
INTEGRATIONS = Path(sys.prefix) / "integrations"
GUARDS = {
    "llavaguard": tiny_guards.llava_onevision,
    "llama_guard": tiny_guards.mllama,
    "shield_gemma": tiny_guards.shield_gemma,
    "falconsai": tiny_guards.falconsai,
    "q16": tiny_guards.q16,
}
FAMILIES = [tiny_guards.llava_onevision, tiny_guards.qwen2_5_vl, tiny_guards.qwen3_vl, tiny_guards.mllama]
QUICK = ("falconsai", "q16")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    roots = [Sample.from_prompt(Prompt(p.prompt, p.generation_prompt), 0) for p in prompts(2, 3)]
    return [sample.with_(batch_row=row) for row, sample in enumerate(Render().open()(roots))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each guard, as `--model-dir` takes it."""
    return tmp_path_factory.mktemp("models")


def of(models: Path, name: str, build: Callable[[Path], Path]) -> Path:
    folder = models / name
    return folder if folder.exists() else build(folder)


def votes(labeller: Any, samples: list[Sample]) -> list[Vote]:
    return [vote for sample in labeller.open()(samples) for vote in sample.votes]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in GUARDS]
)
def test_a_guard_votes_by_its_name_and_a_directory(name: str, models: Path, samples: list[Sample]) -> None:
    of(models, name, GUARDS[name])
    [strict] = labellers_of(f"{name},threshold=0", models=models)
    [lenient] = labellers_of(f"{name},threshold=1", models=models)
    unsafe, safe = votes(strict, samples), votes(lenient, samples[:1])
    assert [vote.label for vote in safe] == ["safe"]
    assert {vote.label for vote in unsafe} <= {"unsafe", "escalate"} and len(unsafe) == len(samples)
    for vote in unsafe:
        assert vote.annotator == f"{name}/{name}" and vote.licence == strict.licence and vote.weights
        assert vote.score is not None and 0 <= vote.score <= 1 and set(vote.categories) <= set(strict.covers())
    assert votes(strict, samples) == unsafe, "and says the same again"


@pytest.mark.slow
@pytest.mark.parametrize("build", FAMILIES, ids=lambda build: build.__name__)
def test_the_vlm_judge_asks_every_family(build: Callable[[Path], Path], tmp_path: Path, samples: list[Sample]) -> None:
    judge = VlmJudge(model=str(build(tmp_path / "model")), asks=("image",))
    scores = {vote.score for vote in votes(judge, samples)}
    assert len(scores) == len(samples), "the pictures make no difference"


@pytest.mark.slow
def test_freepik_s_classifier_is_read_by_its_levels(tmp_path: Path) -> None:
    """With timm, which stands apart from the environment."""
    if not (INTEGRATIONS / "timm").exists():
        pytest.skip("timm is not installed; make setup puts it into .venv/integrations")
    script = """
import sys
from tests.support.torchvision_without_kernels import declare_operators
kept = declare_operators()
import numpy as np, torch
from transformers import TimmWrapperConfig, TimmWrapperForImageClassification
torch.manual_seed(0)
config = TimmWrapperConfig(architecture="eva02_tiny_patch14_224", id2label=dict(enumerate(["neutral", "low", "medium", "high"])))
look = {"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop_pct": 1.0}
config.pretrained_cfg = look
model = TimmWrapperForImageClassification(config)
model.save_pretrained(sys.argv[1])
from stages.label.freepik import Freepik
from schemas.sample import Sample
from schemas.prompt import Prompt
picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
sample = Sample.from_prompt(Prompt("a dog", "a dog"), 0).with_(pixels=picture, batch_row=0)
for level in ("low", "high"):
    [row] = Freepik(model=sys.argv[1], level=level).open()([sample])
    print(level, row.votes[0].label, row.votes[0].score)
"""
    path = os.pathsep.join((str(ROOT), str(INTEGRATIONS)))
    command = [sys.executable, "-c", script, str(tmp_path / "model")]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    low, high = (line.split() for line in ran.stdout.splitlines()[-2:])
    assert low[0] == "low" and high[0] == "high" and 0 < float(high[2]) < float(low[2]) < 1


def test_freepik_without_timm_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "timm_wrapper", "architecture": "x", "num_classes": 4}')
    [freepik] = labellers_of("freepik", models=tmp_path)
    with pytest.raises(InputError, match="it cannot be opened as a classifier of pictures"):
        freepik.judge()
    with pytest.raises(InputError, match="level is 'none'"):
        labellers_of("freepik,level=none")


def test_another_classifier_is_refused_by_its_classes(models: Path, tmp_path: Path) -> None:
    folder = of(models, "falconsai", tiny_guards.falconsai)
    with pytest.raises(InputError, match="its classes are normal, nsfw; expected high, low"):
        labeller_classes()["freepik"](model=str(folder)).judge()  # type: ignore[call-arg]
    folder = tiny_guards.q16(tmp_path / "q16")
    np.save(folder / "prompts.npy", np.ones((3, 4)))
    with pytest.raises(InputError, match=r"needs \[2, 16\]"):
        labellers_of("q16", models=folder)[0].judge()
    (tmp_path / "config.json").write_text("{}")
    for name in ("llavaguard", "llama_guard", "shield_gemma"):
        with pytest.raises(InputError, match="with safetensors"):
            labellers_of(name, models=tmp_path)[0].judge()


def test_models_are_found_in_a_directory_by_their_labellers_names(tmp_path: Path) -> None:
    (tmp_path / "falconsai").mkdir()
    [alone] = labellers_of("llavaguard", models=tmp_path)
    assert alone.model == str(tmp_path), "of one the directory itself"  # type: ignore[attr-defined]
    _, second, third = labellers_of("prompt_truth,falconsai,zero_shot", models=tmp_path)
    assert second.model == str(tmp_path / "falconsai") and third.model == "assets/world/clip"  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no folder llavaguard in it"):
        labellers_of("falconsai,llavaguard", models=tmp_path)
    with pytest.raises(InputError, match="none of the labellers needs a model"):
        labellers_of("prompt_truth", models=tmp_path)
    with pytest.raises(InputError, match="no such directory"):
        labellers_of("llavaguard", models=tmp_path / "gone")


def test_what_is_asked_has_the_guards_own_form(tmp_path: Path) -> None:
    text = Llavaguard(model="x")._policy()
    assert all(f"{key}: {name}" in text for key, name in CATEGORIES.items())
    (tmp_path / "policy.txt").write_text("theirs")
    [own] = labellers_of(f"llavaguard,policy={tmp_path / 'policy.txt'}")
    assert own._policy() == "theirs"  # type: ignore[attr-defined]
    assert set(LlamaGuard.means) | {"S4"} == set(HAZARDS)


def test_without_vllm_its_judge_says_what_to_install(samples: list[Sample]) -> None:
    with pytest.raises(InputError, match=r"needs vllm .* pip install vllm"):
        VllmJudge(model="assets/world/clip").judge()


def test_vllm_gets_whole_batches_and_its_answers_become_votes(
    monkeypatch: pytest.MonkeyPatch, samples: list[Sample]
) -> None:
    """There is no vLLM without an accelerator: what stands for it keeps what it is asked and answers as a model would."""
    calls: list[Any] = []

    class Engine:
        def __init__(self, **settings: Any) -> None:
            calls.append(settings)

        def chat(self, chats: list[Any], sampling: Any, use_tqdm: bool) -> list[Any]:
            calls.append(chats)
            texts = ['{"rating": "unsafe", "categories": ["C"], "score": 0.9}', "no JSON"] * len(chats)
            return [SimpleNamespace(outputs=[SimpleNamespace(text=text)]) for text in texts[: len(chats)]]

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = Engine, lambda **settings: settings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    found = votes(VllmJudge(model="assets/world/clip"), samples)
    assert [vote.label for vote in found] == ["unsafe", "skip"] * len(samples)
    assert found[0].categories == ("violence",) and "JSON" in str(found[1].reason)
    [settings, chats] = calls
    assert settings["max_model_len"] == 8192 and len(chats) == 2 * len(samples), "one call a batch"
    picture, question = chats[0][1]["content"]
    assert picture["image_url"]["url"].startswith("data:image/png;base64,") and "JSON" in question["text"]
