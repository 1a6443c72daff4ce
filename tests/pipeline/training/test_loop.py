"""Every training takes its steps here: a stopped one goes on to the same weights, and a group of processes to those of one."""

import pickle
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.storage.local_store import LocalStore
from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.loop import MovingAverage, TrainingLoop, seed_all
from pipeline.training.process_group import ProcessGroup, run_in_group
from schemas.errors import InputError


def small() -> nn.Module:
    """A frozen layer, a trained one whose weights lie channels last, and a number that no row reaches."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 3, 1).requires_grad_(False), nn.Dropout(0.2), nn.Conv2d(3, 4, 3))
    module.register_parameter("idle", nn.Parameter(torch.ones(2)))
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def looped(folder: Path | None, group: ProcessGroup | None = None) -> TrainingLoop[int]:
    """Its loop; the rows of a step are its number alone."""
    module = small()

    def losses(step: int, _: int) -> dict[str, Tensor]:
        seed_all(step, torch.device("cpu"))
        return {"loss": module(torch.randn(4, 3, 5, 5)).square().mean()}

    return TrainingLoop(
        module=module,
        optimizer=torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 0.01, weight_decay=0.1),
        losses=losses,
        rate=lambda peak, step, _: peak / (1 + step),
        group=group or ProcessGroup(),
        checkpoint=None if folder is None else Checkpoint.in_folder(folder),
        average=MovingAverage(module, 0.998),
        largest_gradient=1.0,
    )


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    return all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())


def test_a_stopped_loop_goes_on_to_the_weights_and_averages_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    whole, stopped = looped(None), looped(tmp_path)
    assert len(list(whole.run(range(6)))) == 6
    steps = stopped.run(range(6), lambda: ({"seen": stopped.step, "best": float("inf")}, {"kept": torch.eye(2)}))
    for _ in range(4):  # the fourth step was seen, and not kept any more
        next(steps)
    again = looped(tmp_path)
    found = again.restore()
    assert found is not None and again.step == found[0]["seen"] == 3
    assert found[0]["best"] == float("inf") and torch.equal(found[1]["kept"], torch.eye(2))
    list(again.run(range(3, 6)))
    assert same(again.module, whole.module)
    assert again.average is not None and whole.average is not None
    assert same(again.average.module, whole.average.module) and not same(again.average.module, again.module)


def test_a_pickled_checkpoint_is_not_opened_and_goes_with_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(pickle.dumps("of before"))
    loop = looped(tmp_path)
    assert loop.restore() is None
    loop.save()
    assert loop.checkpoint is not None
    loop.checkpoint.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"half a", pickle.dumps({"weights": 1}), b"\2\0\0\0\0\0\0\0{}"])
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is no checkpoint .* remove it"):
        looped(tmp_path).restore()


def test_another_models_checkpoint_is_refused_and_another_trainings_is_none(tmp_path: Path) -> None:
    looped(tmp_path).save()
    other = looped(tmp_path)
    other.module.register_parameter("idle", nn.Parameter(torch.ones(3)))
    with pytest.raises(InputError, match="of another training: Sequential has no idle"):
        other.restore()
    assert Checkpoint(LocalStore(tmp_path), "checkpoint.safetensors", "another").read() is None


def train_in_group(folder: Path, group: ProcessGroup) -> None:
    """Picklable, for `run_in_group`; processes of a group draw other rows, and one of them reaches nothing."""
    loop = looped(folder, group)
    both = loop.losses
    silent = {"loss": torch.zeros((), requires_grad=True) * 1.0}
    loop.losses = lambda step, rows: silent if group.rank and step == 1 else both(step, rows)
    list(loop.run(range(3)))
    loop.save()
    assert group.agree(float(group.rank)) == 0.0 and float(group.total(torch.ones(1))) == group.size


@pytest.mark.slow
def test_a_group_averages_gradients_and_leaves_alone_what_no_row_reached(tmp_path: Path) -> None:
    run_in_group(partial(train_in_group, tmp_path), 2, tmp_path)
    loop = looped(tmp_path)
    loop.restore()
    alone = looped(None)
    list(alone.run(range(3)))
    assert torch.equal(loop.module.get_parameter("idle"), torch.ones(2)), "weight decay reached it"
    assert not same(loop.module, alone.module), "a step with half the gradient is another one"
