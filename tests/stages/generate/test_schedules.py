"""Named schedules over the schedulers that models come with."""

import pytest
from diffusers import DDIMScheduler

from stages.generate.loading import scheduler_of
from stages.generate.settings import SCHEDULES


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize(
    ("betas", "zero_snr"),
    [("squaredcos_cap_v2", True), ("squaredcos_cap_v2", False), ("scaled_linear", True), ("scaled_linear", False)],
)
def test_no_step_is_taken_twice(name: str, betas: str, zero_snr: bool) -> None:
    own = DDIMScheduler(beta_schedule=betas, rescale_betas_zero_snr=zero_snr, timestep_spacing="trailing")
    schedule = scheduler_of(name, own)
    for steps in (2, 10, 25):
        schedule.set_timesteps(steps)
        assert len({float(step) for step in schedule.timesteps}) == len(schedule.timesteps) == steps, steps
