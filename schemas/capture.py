"""What is kept of a drawing while it is under way: arrays beside a sample, and the rows that say what each of them is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.sample import Sample

Array = npt.NDArray[np.float16]

CAPTURE_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("format", pa.string()),  # of the member that holds all arrays of the sample: KEY.npz
        ("tar", pa.string()),
        ("tar_offset", pa.int64()),
        ("tar_size", pa.int64()),
        ("image_sha256", pa.string()),  # of that member: the column is called as everywhere where `verify` looks for it
        ("names", pa.list_(pa.string())),
        ("steps", pa.list_(pa.int32())),  # after how many steps of the drawing, by name
        ("timesteps", pa.list_(pa.float64())),  # the scheduler's own, by name
        ("of_steps", pa.int32()),
        ("generator", pa.string()),
        ("revision", pa.string()),
    ]
)

# Both are in every U-Net of Stable Diffusion 1.x, 2.x and XL, and in the embedded one: the coarsest block, which sees the whole
# picture, and one on the way up, which sees where things are.
BLOCKS = (
    "mid_block.attentions.0.transformer_blocks.0.attn2",
    "up_blocks.1.attentions.1.transformer_blocks.0.attn2",
)
GRID = 8  # places a side that are kept of a block, at most


WORDS = "words"


def block_name(path: str) -> str:
    """A cross-attention's path in the denoiser as the name of its capture: `mid_0_0`, `up_1_1_0`; of a transformer `block_3`."""
    short = [part for part in path.split(".") if part not in ("attentions", "transformer_blocks", "attn2", "attn")]
    named = [part.removesuffix("s").removesuffix("_block") for part in short]
    return "_".join(named if not named[0].isdigit() else ["block", *named])


@dataclass(frozen=True, slots=True, eq=False)
class CapturedArray:
    """One array of one sample: `name` without the step, `step` steps done, the scheduler's `timestep`."""

    name: str
    step: int
    timestep: float
    array: Array

    @property
    def member(self) -> str:
        """Its name among all that is kept of the sample: `latent_2`. The words are the same in every step, and kept once."""
        return self.name if self.name == WORDS else f"{self.name}_{self.step}"


@dataclass(frozen=True, slots=True, eq=False)
class CapturedSample(Sample):
    """A sample with what was kept of its drawing, in memory only; children have none of it."""

    caught: tuple[CapturedArray, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, sample: Sample, caught: Iterable[CapturedArray]) -> Self:
        """The same sample with these."""
        return cls(**{one.name: getattr(sample, one.name) for one in fields(Sample)}, caught=tuple(caught))

    def derive(self, stage: str, index: int, **changes: Any) -> Self:
        """A child is drawn anew or changed afterwards: what was kept of its parent is not its own."""
        # Without zero-argument super(): a dataclass with slots is another class than the one its methods were compiled in.
        return Sample.derive(self, stage, index, **{"caught": (), **changes})


def step_of(share: float, steps: int) -> int:
    """After how many of `steps` steps `share` of the schedule is done: at least one, else never more than the share."""
    return max(1, int(share * steps + 1e-9))


def at_step(arrays: Mapping[str, Array], step: int) -> dict[str, Array]:
    """What was kept after `step` steps, and the words, by name without the step, as classifiers ask for it."""
    ending = f"_{step}"
    return {
        name.removesuffix(ending): array for name, array in arrays.items() if name.endswith(ending) or name == WORDS
    }
