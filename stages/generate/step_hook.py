"""The steps of a diffusers pipeline's calls, as they are done: by its scheduler's `step`, which every pipeline has."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from schemas.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_WATCH = "_hazmat_watch"


@dataclass(frozen=True, eq=False)
class DenoisingStep:
    """A step that was just done, the `step`-th of `steps`. `noise` is what the denoiser predicted (noise, v or velocity, as the
    scheduler takes it) after guidance; `latents` are those after the step. Both [rows, …].
    """

    step: int
    steps: int
    timestep: float
    noise: "Tensor"
    latents: "Tensor"


class StepHook:
    """Counts the steps of a pipeline's calls and tells `listeners` of each. `done` is how many the call under way has behind it.

    `alive` (rows, int64) is set where only some rows are still computed: the denoiser's batch then holds these alone.
    """

    def __init__(self, scheduler: Any) -> None:
        self.done = self.steps = 0
        self.alive: Tensor | None = None
        self.listeners: list[Callable[[DenoisingStep], None]] = []
        self._scheduler = scheduler
        begin, step = scheduler.set_timesteps, scheduler.step

        @wraps(begin)  # pipelines look at the signatures of both
        def set_timesteps(*args: Any, **named: Any) -> Any:
            begin(*args, **named)
            self.done, self.steps = 0, len(scheduler.timesteps)

        @wraps(step)
        def stepped(noise: Any, timestep: Any, latents: Any, *args: Any, **named: Any) -> Any:
            output = step(noise, timestep, latents, *args, **named)
            self.done += 1
            after = output[0] if isinstance(output, tuple) else output.prev_sample
            moment = DenoisingStep(self.done, self.steps, float(timestep), noise, after)
            for listener in self.listeners:
                listener(moment)
            return output

        scheduler.set_timesteps, scheduler.step = set_timesteps, stepped
        setattr(scheduler, _WATCH, self)

    @classmethod
    def of(cls, pipeline: Any) -> "StepHook":
        """The pipeline's own, made when first asked for. Raises InputError for what is no diffusers pipeline."""
        scheduler = getattr(pipeline, "scheduler", None)
        if scheduler is None or denoiser_of(pipeline) is None:
            raise InputError(
                f"{type(pipeline).__name__} has no scheduler and denoiser; expected a pipeline of diffusers"
            )
        hook = vars(scheduler).get(_WATCH)
        return hook if isinstance(hook, StepHook) else cls(scheduler)

    def close(self) -> None:
        """Leave the scheduler as it was."""
        for name in ("set_timesteps", "step", _WATCH):
            vars(self._scheduler).pop(name, None)


def denoiser_of(pipeline: Any) -> Any:
    """The U-Net or transformer."""
    return getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
