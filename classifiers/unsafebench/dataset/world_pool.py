"""Where the embedded world's benchmark looks for pictures: drawings by the second vendor stand for the real world, pictures by the
embedded Stable Diffusion for AI. Each with its caption, as LAION-5B and Lexica have them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as count_from
from itertools import islice

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.clip_index import Floats, picture_vectors
from classifiers.unsafebench.dataset.images import GENERATED, REAL, Picture, tensor_of
from pipeline.stage import Stage
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.generate.render import Render
from stages.world.grammar import prompt_at

BATCH = 16
SOURCES: dict[str, Stage] = {
    REAL: Render(vendor="twemoji", batch_size=BATCH),
    GENERATED: Diffusion(batch_size=BATCH),
}
TRAINING: dict[str, Stage] = {**SOURCES, GENERATED: Render(vendor="noto", batch_size=BATCH)}
"""What classifiers are fitted on. 1,500 pictures by the diffusion model take ten minutes, the drawings that it learnt to imitate
two seconds: these stand for AI-generated training pictures, and the test asks how far that carries."""


@dataclass(eq=False)
class WorldPool:
    """As a place to search: `count` pictures of a source, drawn when they are first looked at."""

    source: str
    count: int
    seed: int
    _samples: list[Sample] = field(default_factory=list, init=False)

    def vectors(self, encoder: ClipEncoder) -> Floats:
        """float32 [count, width]."""
        self._samples = self._samples or world_pool(self.source, self.count, self.seed)
        pictures = [Picture(s.key, s.pixels, s.source, "", unsafe=False) for s in self._samples if s.pixels is not None]
        return picture_vectors(encoder, tensor_of(pictures))

    def samples(self, rows: Sequence[int]) -> list[Sample]:
        """Those rows."""
        return [self._samples[row] for row in rows]


def world_pool(source: str, count: int, seed: int, stages: dict[str, Stage] | None = None) -> list[Sample]:
    """`count` samples with pictures; `prompt` is what was drawn."""
    stage = (stages or SOURCES)[source]
    step = stage.open()
    roots = list(_roots(source, count, seed))
    return [sample for first in range(0, count, BATCH) for sample in step(_planned(roots[first : first + BATCH]))]


def _roots(source: str, count: int, seed: int) -> Iterator[Sample]:
    """Prompts whose label, if any, can be seen: what a purpose in the words does is no matter of pictures. 4 in 9 are unsafe."""
    drawn = (prompt_at(seed, index) for index in count_from(0))
    for prompt in islice((each for each in drawn if each.kind not in ("purpose", "confounder")), count):
        text = prompt.generation_prompt
        yield Sample.from_prompt(Prompt(text, text, source=source), seed)


def _planned(rows: Sequence[Sample]) -> list[Sample]:
    return [replace(sample, batch_row=batch_row) for batch_row, sample in enumerate(rows)]
