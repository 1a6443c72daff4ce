"""Draw a few prompts with tiny pipelines, each of which is made once."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.stage import Stage
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from tests.support.tiny_pipelines import SIDE, save

PROMPTS = ("a red apple", "a dog on a striped ground", "two keys", "a house", "a moon")


def directory(pipelines: Path, family: str) -> str:
    """The tiny pipeline of a family below the folder `pipelines`."""
    return str(pipelines / family if (pipelines / family).is_dir() else save(family, pipelines))


def tiny(pipelines: Path, family: str) -> Diffusion:
    """Two steps at `SIDE` pixels, which is also said because FLUX draws 1024 of its own accord."""
    return Diffusion(model=directory(pipelines, family), steps=2, size=SIDE, batch_size=3)


def samples(count: int = 3) -> list[Sample]:
    """A batch of root samples."""
    made = [Sample.from_prompt(Prompt(text), 0) for text in PROMPTS[:count]]
    return [sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(made)]


def drawn(stage: Stage, batch: Sequence[Sample]) -> list[bytes]:
    """The pictures as bytes."""
    pictures = [sample.pixels for sample in stage.open()(batch)]
    return [picture.tobytes() for picture in pictures if picture is not None]
