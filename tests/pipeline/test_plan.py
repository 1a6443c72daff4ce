"""A plan is checked before anything heavy starts."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from pipeline.plan import Plan, PlanError, group_stages
from pipeline.stage import Resources, Stage, Step
from stages.generate.diffusion import Diffusion
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from tests.support.misbehaving import Paint
from tests.support.runs import plan_of, texts


@dataclass(frozen=True, kw_only=True)
class Never(Stage):
    """Refuses to be opened: the test fails if a check opens it."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})

    def open(self) -> Step:
        raise AssertionError("a check must not open a stage")


@dataclass(frozen=True, kw_only=True)
class Misnamed(Never):
    """Names a field that Sample does not have."""

    needs: ClassVar[frozenset[str]] = frozenset({"picture"})


def test_a_stage_that_needs_what_nothing_adds_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match=r"Never.*needs \['pixels'\], which no earlier stage adds"):
        plan_of(texts(4), Never(), Paint())


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PlanError, match="picture"):
        plan_of(texts(4), Misnamed())


def test_a_plan_that_leaves_nothing_to_commit_is_refused() -> None:
    with pytest.raises(PlanError, match="encoded"):
        Plan((Paint(),), texts(4), 2, 0)


def test_units_are_cut_in_order_and_the_last_may_be_short() -> None:
    assert [len(unit) for unit in plan_of(texts(10), Paint(), unit_size=4).units()] == [4, 4, 2]


def test_the_fingerprint_tells_plans_apart_and_is_stable() -> None:
    plan = plan_of(texts(4), Paint())
    same = plan_of(texts(4), Paint())
    other = plan_of(texts(4), Paint(delay=1.0))
    assert plan.fingerprint("items") == same.fingerprint("items")
    assert len({plan.fingerprint("items"), other.fingerprint("items"), plan.fingerprint("others")}) == 3


def test_encoding_leaves_the_accelerator_and_fan_out_costs_no_pool() -> None:
    stages = (Replicate(), Diffusion(), Encode())
    assert group_stages(stages, accelerators=True) == [range(0, 2), range(2, 3)]
    assert group_stages(stages, accelerators=False) == [range(0, 3)]


def test_a_stage_with_resources_of_its_own_gets_a_pool() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Large(Never):
        """Wants more."""

        resources: ClassVar[Resources] = Resources(cpus=4.0)

    assert group_stages((Paint(), Large(), Large(), Paint()), False) == [range(0, 1), range(1, 3), range(3, 4)]
