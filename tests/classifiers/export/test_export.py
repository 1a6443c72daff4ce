"""An exported classifier judges where this repository is not, and says what it says here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from classifiers.classifier import Classifier
from classifiers.export.exported import empty_folder, exportable
from classifiers.export.onnx_folder import write_onnx
from classifiers.export.resizing import Filter, resize
from classifiers.export.transformers_folder import write_transformers
from classifiers.models.cascade import Cascade
from classifiers.prediction import tensor_of
from classifiers.saved import build, load
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.protocols import Inputs
from stages.world.draw import Pictures, draw
from stages.world.scene import compose
from stages.world.vocabulary import BY_NAME
from tests.support.outside import installed, only, run_outside

CLIP = model_directory("assets/world/clip")
CLOSE = 1e-4
ONNX = ["numpy", "numpy.libs", "onnxruntime", "flatbuffers", "google", "packaging"]
WORDS = ["tokenizers", "huggingface_hub", "confusable_homoglyphs"]
PROMPTS = ("a knife ready for a fight", "a red apple", "k n i f e", "two dоgs on a road", "something for the party", "")
ONNX_SCRIPT = """
folder, rows, out = sys.argv[1:]
sys.path.insert(0, folder)
import numpy as np
from judge import OnnxJudge
from pathlib import Path
import json
with np.load(rows) as kept:
    pictures = [kept[name] for name in sorted(kept.files)]
prompts = json.loads(Path(rows).with_suffix(".json").read_text())
found = OnnxJudge(folder)(pixels=pictures, prompts=prompts)
np.savez(out, **found)
print([name for name in ("torch", "transformers", "schemas", "pipeline") if name in sys.modules])
"""
PIPELINE = """
folder, rows, out = sys.argv[1:]
sys.path.insert(0, folder + "/code")
import classifiers.export.hf_classes as classes
import numpy as np
from PIL import Image
from transformers import pipeline
with np.load(rows) as kept:
    pictures = [Image.fromarray(kept[name]) for name in sorted(kept.files)]
judge = pipeline("image-classification", folder, device="cpu")
said = judge(pictures, top_k=99, function_to_apply="none")
names = list(judge.model.config.id2label.values())
np.savez(out, logits=np.array([[{each["label"]: each["score"] for each in row}[name] for name in names] for row in said]))
print(classes.__file__.startswith(folder), max(each["score"] for each in judge(pictures[0])) <= 1)
"""
AUTO = """
folder, rows, out = sys.argv[1:]
sys.path.insert(0, folder + "/code")
import classifiers.export.hf_classes
import json, numpy as np, torch
from pathlib import Path
from transformers import AutoModel, AutoProcessor
with np.load(rows) as kept:
    pictures = [kept[name] for name in sorted(kept.files)]
prompts = json.loads(Path(rows).with_suffix(".json").read_text())
model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
with torch.no_grad():
    said = model(**processor(text=prompts, images=pictures))
np.savez(out, logits=said.logits.numpy(), flagged=said.flagged.numpy())
print(model.config.model_type, sorted(said.keys()))
"""


def pictures(count: int) -> list[np.ndarray]:
    """Scenes of pictograms in many sizes and shapes."""
    rng, sprites = np.random.default_rng(5), Pictures.load()
    names = [name for name in sorted(sprites.sprites) if name in BY_NAME]
    drawn = [draw(compose(rng, (names[row % len(names)],)), sprites) for row in range(count)]
    return [each.repeat(1 + row % 3, 0).repeat(1 + row % 4, 1)[: 40 + row] for row, each in enumerate(drawn)]


def kept(shown: list[np.ndarray], folder: Path) -> Path:
    """Pictures, and a prompt for each, as files."""
    np.savez(folder / "rows.npz", **{f"{row:04}": each for row, each in enumerate(shown)})
    (folder / "rows.json").write_text(json.dumps([PROMPTS[row % len(PROMPTS)] for row in range(len(shown))]))
    return folder / "rows.npz"


def logits(model: Classifier, shown: list[np.ndarray]) -> torch.Tensor:
    """What it says here, of pictures as `predict` reads them."""
    pixels = torch.cat([model.encoder.resized(tensor_of(each)) for each in shown])
    prompts = tuple(PROMPTS[row % len(PROMPTS)] for row in range(len(shown)))
    with torch.no_grad():
        return model.told(model.features(Inputs(prompts, pixels)))[model.scope]


def cascade(shown: list[np.ndarray]) -> Cascade:
    """Untrained heads that say much, with edges in the middle of what they say, so that each stage decides some rows."""
    torch.manual_seed(1)
    model = build("cascade", CLIP)
    assert isinstance(model, Cascade)
    pixels = torch.cat([model.encoder.resized(tensor_of(each)) for each in shown])
    with torch.no_grad():
        features = model.features(Inputs(tuple(PROMPTS[row % len(PROMPTS)] for row in range(len(shown))), pixels))
        spread, mean = torch.std_mean(model.unimodal(*model.towers(features)), dim=0)
        for column, side in enumerate(("prompt", "image")):
            last = [layer for layer in model.alone[side].modules() if isinstance(layer, torch.nn.Linear)][-1]
            scale = 4 / spread[column]
            last.weight *= scale
            last.bias.sub_(mean[column]).mul_(scale)
        either = torch.logsumexp(model.unimodal(*model.towers(features)), dim=1)
        low, high = either.quantile(torch.tensor([0.3, 0.7])).tolist()
    model.obvious_safe, model.obvious_unsafe = low, high
    assert {"fusion", "prompt", "image", "prompt+image"} == {*model.decided_by(features)}
    return model


@pytest.mark.parametrize("kind", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(64, 64), (33, 70), (500, 20), (700, 1000), (1, 1)])
def test_resizing_by_matrices_is_torchs_antialiased_one(kind: Filter, size: tuple[int, int]) -> None:
    pixels = torch.rand(2, 3, *size)
    theirs = interpolate(pixels, (64, 64), mode=kind, antialias=True, align_corners=False)
    assert (resize(pixels.permute(0, 2, 3, 1), 64, kind) - theirs).abs().max() < 2e-6


def test_only_what_stands_by_itself_is_exported_and_only_into_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no classifier"):
        exportable(str(tmp_path))
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="something in it already"):
        empty_folder(str(tmp_path))


@pytest.mark.slow
def test_onnx_runtime_alone_says_of_200_pictures_what_the_classifier_says(tmp_path: Path) -> None:
    shown = pictures(200)
    model, digest = exportable("assets/world/linear_probe")
    folder = empty_folder(str(tmp_path / "onnx"))
    write_onnx(model, digest, folder)
    said = run_outside(ONNX_SCRIPT, only(ONNX, tmp_path / "site"), folder, kept(shown, tmp_path), tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    assert said.strip() == "[]"
    assert np.abs(found["logits"] - logits(model, shown).numpy()).max() < CLOSE
    assert found["flagged"].tolist() == load("assets/world/linear_probe").predict(None, shown).flagged.tolist()
    assert 0 < found["flagged"].mean() < 1


@pytest.mark.slow
def test_onnx_runtime_reads_prompts_and_pictures_as_every_stage_of_a_cascade_does(tmp_path: Path) -> None:
    shown = pictures(60)
    model = cascade(shown)
    folder = empty_folder(str(tmp_path / "onnx"))
    write_onnx(model, "none", folder)
    site = only([*ONNX, *WORDS], tmp_path / "site")
    run_outside(ONNX_SCRIPT, site, folder, kept(shown, tmp_path), tmp_path / "out.npz")
    assert np.abs(np.load(tmp_path / "out.npz")["logits"] - logits(model, shown).numpy()).max() < CLOSE


@pytest.mark.slow
def test_the_pipeline_of_transformers_says_of_200_pictures_what_the_classifier_says(tmp_path: Path) -> None:
    shown = pictures(200)
    model, digest = exportable("assets/world/linear_probe")
    folder = empty_folder(str(tmp_path / "hf"))
    write_transformers(model, digest, folder)
    said = run_outside(PIPELINE, installed(), folder, kept(shown, tmp_path), tmp_path / "out.npz")
    assert said.split() == ["True", "True"]
    assert np.abs(np.load(tmp_path / "out.npz")["logits"] - logits(model, shown).numpy()).max() < CLOSE


@pytest.mark.slow
def test_automodel_opens_a_classifier_of_pairs_without_remote_code(tmp_path: Path) -> None:
    shown = pictures(60)
    model = cascade(shown)
    folder = empty_folder(str(tmp_path / "hf"))
    write_transformers(model, "none", folder)
    said = run_outside(AUTO, installed(), folder, kept(shown, tmp_path), tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    assert said.split()[0] == "hazmat" and "pair" in said
    assert np.abs(found["logits"] - logits(model, shown).numpy()).max() < CLOSE
    assert (
        found["flagged"].tolist()
        == model.predict([PROMPTS[row % len(PROMPTS)] for row in range(60)], shown).flagged.tolist()
    )
