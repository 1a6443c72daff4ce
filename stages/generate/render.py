"""Draw the scene a prompt asks for, without any model: for scale, and as pictures whose truth is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

import numpy as np

from pipeline.stage import BadSamplesError, Stage, Step
from schemas.sample import Sample
from stages.world.draw import Pictures, draw
from stages.world.reader import read
from stages.world.scene import MAX_PICTOGRAMS, compose
from stages.world.vocabulary import ASSETS


@dataclass(frozen=True, kw_only=True)
class Render(Stage):
    """Read `generation_prompt` back into a scene and draw it with one vendor's pictograms, 64 x 64 pixels.

    What the prompt leaves open (place, size, angle, a colour) is drawn from the sample's seed. A prompt that names no pictogram
    of the world, or more than a scene holds, is the sample's fault.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"generation_prompt"})
    adds: ClassVar[frozenset[str]] = frozenset({"pixels", "generator", "revision", "seed", "scene"})
    vendor: str = "noto"

    def open(self) -> Step:
        """Load the vendor's atlas."""
        pictures = Pictures.load(self.vendor)
        revision = self.revision()

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                seed = sample.drawing_seed(self.name)
                parsed = read(sample.generation_prompt)
                if not 0 < len(parsed.concepts) <= MAX_PICTOGRAMS:
                    reason = f"the prompt names {len(parsed.concepts)} pictograms of the world; a scene holds 1 to {MAX_PICTOGRAMS}"
                    raise BadSamplesError({sample.key: reason})
                scene = compose(
                    np.random.default_rng(seed),
                    parsed.concepts,
                    colour=parsed.colour,
                    second_colour=parsed.second_colour,
                    ground=parsed.ground,
                    style=parsed.style,
                    stacked=parsed.stacked,
                    clutter=parsed.clutter,
                )
                yield sample.with_(
                    pixels=draw(scene, pictures),
                    generator=f"render/{self.vendor}",
                    revision=revision,
                    seed=seed,
                    scene=scene.to_json(),
                )

        return step

    def revision(self) -> str:
        """Digest of the vendor's atlas."""
        return blake2b((ASSETS / "pictures" / f"{self.vendor}.png").read_bytes(), digest_size=16).hexdigest()
