"""What a picture of the pictogram world shows: from its scene where it was drawn from one, else what its prompt asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.stage import Stage, Step
from schemas.sample import Sample
from stages.world.reader import read
from stages.world.scene import Scene


@dataclass(frozen=True, kw_only=True)
class Concepts(Stage):
    """`concepts` and `style`: what held-out concepts and styles are cut by. Empty and null outside of this world."""

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"signatures"})

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                if sample.scene is not None:
                    scene = Scene.from_json(sample.scene)
                    concepts, style = scene.concepts, scene.style
                else:
                    request = read(sample.generation_prompt)
                    concepts, style = request.concepts, request.style or "normal"
                yield sample.signed(concepts=sorted(set(concepts)), style=style if concepts else None)

        return step
