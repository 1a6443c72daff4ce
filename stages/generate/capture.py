"""Look into a drawing while it is under way: any diffusers pipeline, at chosen steps, without changing what it draws.

All that is needed passes through two doors that every pipeline has: the scheduler's `step` (the prediction as guidance left it, and
the latents before and after) and the denoiser's attention to words (what the picture's places are, and the words as it reads them).
"""

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any

from schemas.capture import BLOCKS, GRID, WORDS, block_name
from schemas.errors import HazmatError, InputError
from stages.generate.step_hook import DenoisingStep, StepHook, denoiser_of

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 65504.0  # of fp16


class StepCapture:
    """The contract's `Capture`: one array a row, kept after `step` steps. Its name in the tar is `member`, `latent_2`."""

    def __init__(self, name: str, step: int) -> None:
        self.name, self.step = name, step
        self.timestep = float("nan")
        self._kept: Tensor | None = None
        self._hooks: list[Any] = []
        self._shape: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Known once something was taken, since it follows from the size that is drawn."""
        if self._shape is None:
            raise HazmatError(f"{self.name}: nothing was drawn yet, so its shape is not known")
        return self._shape

    def attach(self, pipeline: Any) -> None:
        watch = StepHook.of(pipeline)
        self.hook(pipeline, watch)
        watch.listeners.append(self._heard)

    def hook(self, pipeline: Any, watch: StepHook) -> None:
        """What else has to be hooked."""

    def detach(self) -> None:
        """Take the hooks on modules away again; the watch is whoever made it's."""
        while self._hooks:
            self._hooks.pop().remove()

    def value(self, moment: DenoisingStep) -> "Tensor":
        """[rows, …] at the right step; the latents unless a kind says otherwise."""
        return moment.latents

    def take(self) -> "Tensor":
        """On the CPU. Raises HazmatError where the last call did not come as far as `step`."""
        if self._kept is None:
            raise HazmatError(f"{self.name}: the last drawing did not come to step {self.step}")
        kept, self._kept = self._kept, None
        self._shape = tuple(kept.shape[1:])
        return kept

    def _heard(self, moment: DenoisingStep) -> None:
        if moment.step == self.step:
            import torch

            self.timestep = moment.timestep
            self._kept = self.value(moment).detach().float().clamp(-LARGEST, LARGEST).to(torch.float16).cpu()


class Noise(StepCapture):
    """What the denoiser predicted in the step."""

    def value(self, moment: DenoisingStep) -> "Tensor":
        """The guided prediction."""
        return moment.noise


class Block(StepCapture):
    """What an attention to words is asked by: its input at each place, averaged to at most `grid` × `grid` places.

    float16 [rows, channels, places, places]. `path` is the attention's in the denoiser. Where guidance doubles the batch, the
    prompt's own half is taken, which diffusers puts last.
    """

    def __init__(self, path: str, step: int, grid: int) -> None:
        super().__init__(block_name(path), step)
        self.path, self.grid = path, grid
        self._seen: tuple[Tensor, Tensor | None] | None = None

    def hook(self, pipeline: Any, watch: StepHook) -> None:
        """Raises InputError for a denoiser without such an attention."""
        denoiser = denoiser_of(pipeline)
        modules = dict(denoiser.named_modules())
        if self.path not in modules:
            known = cross_attentions(denoiser)
            raise InputError(
                f"{type(denoiser).__name__} has no {self.path}; its attentions to words are {known or 'none'}"
            )

        def see(module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            if watch.done + 1 == self.step:
                hidden = args[0] if args else named["hidden_states"]
                self._seen = (hidden, named.get("encoder_hidden_states"))

        self._watch = watch
        self._hooks.append(modules[self.path].register_forward_pre_hook(see, with_kwargs=True))

    def value(self, moment: DenoisingStep) -> "Tensor":
        """Pooled places."""
        hidden = self._own(self._take(), moment, 0)
        return pooled(hidden, moment.latents.shape[2:], self.grid)

    def _take(self) -> tuple[Any, Any]:
        if self._seen is None:
            raise HazmatError(f"{self.path} was not run in step {self.step}: is the denoiser compiled? Load it without")
        seen, self._seen = self._seen, None
        return seen

    def _own(self, seen: tuple[Any, Any], moment: DenoisingStep, which: int) -> "Tensor":
        """The rows of the prompt's own half; rows that are no longer computed are zero."""
        alive, rows = self._watch.alive, len(moment.latents)
        own: Tensor = seen[which][-(rows if alive is None else len(alive)) :]
        if alive is None:
            return own
        whole = own.new_zeros((rows, *own.shape[1:]))
        whole[alive] = own
        return whole


class Words(Block):
    """The prompt as the denoiser's attention reads it: float16 [rows, tokens, width]."""

    def __init__(self, path: str, step: int) -> None:
        super().__init__(path, step, 1)
        self.name = WORDS

    def value(self, moment: DenoisingStep) -> "Tensor":
        """Raises InputError where the attention is given no words of its own."""
        seen = self._take()
        if seen[1] is None:
            raise InputError(f"{self.path} is given no words; choose an attention to words (attn2)")
        return self._own(seen, moment, 1)


def pooled(hidden: "Tensor", sides: Any, grid: int) -> "Tensor":
    """[n, places, channels] → [n, channels, h, w] with h, w ≤ `grid`; `sides` are the latents' (h, w), empty if packed.

    Raises InputError for places that are no rectangle of that form.
    """
    from torch.nn.functional import adaptive_avg_pool2d

    places = hidden.shape[1]
    height = isqrt(places) if len(sides) != 2 else round((places * sides[0] / sides[1]) ** 0.5)
    if not height or places % height or (len(sides) != 2 and height**2 != places):
        raise InputError(f"{places} places are no picture of the form {tuple(sides) or 'square'}")
    laid = hidden.transpose(1, 2).reshape(len(hidden), -1, height, places // height).float()
    return adaptive_avg_pool2d(laid, (min(grid, laid.shape[2]), min(grid, laid.shape[3])))


def cross_attentions(denoiser: Any) -> list[str]:
    """Paths of all attentions to words."""
    return [name for name, _ in denoiser.named_modules() if name.endswith("attn2")]


@dataclass(frozen=True, kw_only=True)
class Early:
    """What is kept, and when: after each of `steps` steps the latent, the prediction, what `blocks` see, and the words."""

    steps: tuple[int, ...] = (1, 2)
    blocks: tuple[str, ...] = BLOCKS
    grid: int = GRID

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 1 or self.grid < 1:
            raise InputError(f"{self!r}: steps count from 1, and the grid has at least one place")

    def captures(self) -> list[StepCapture]:
        """Fresh ones, to be attached."""
        captures: list[StepCapture] = []
        for step in self.steps:
            captures += [StepCapture("latent", step), Noise("noise", step)]
            captures += [Block(path, step, self.grid) for path in self.blocks]
        return captures + [Words(path, min(self.steps)) for path in self.blocks[:1]]
