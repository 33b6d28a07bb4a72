"""Update rules by name: shipped ones are what they were, another's is made from the plan, and what is wrong is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.fake_array import fake_spec
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.rules.by_name import make_rule
from xbarlab.protocols.training.rules.equal_pulses import Manhattan, MixedPrecision, RowParallel
from xbarlab.protocols.training.rules.outer_rules import OuterProduct, StreamingEigenupdate
from xbarlab.protocols.training.rules.tiki_taka import TikiTaka
from xbarlab.protocols.training.rules.update_rules import TwoPulse
from xbarlab.protocols.training.steps.training_plan import TrainingPlan

KINDS = {
    "two_pulse": TwoPulse,
    "manhattan": Manhattan,
    "mixed_precision": MixedPrecision,
    "row_parallel": RowParallel,
    "outer_product": OuterProduct,
    "streaming_eigenupdate": StreamingEigenupdate,
    "tiki_taka": TikiTaka,
}


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    with plugins.scope():
        yield


@pytest.mark.parametrize("name", KINDS)
def test_a_shipped_rule_is_made_of_its_plan(name: str) -> None:
    plan = TrainingPlan(rule=name, share=0.25, width=1e-6, pulse_step=1e-6, read_average=3, outer_rate=0.5)
    rule: Any = plan.update_rule()
    assert type(rule) is KINDS[name]
    assert rule.share == 0.25
    if name == "two_pulse":
        assert (rule.width, rule.average, rule.slope) == (1e-6, 3, plan.slope)
    else:
        assert rule.step == 1e-6
        assert getattr(rule, "rate", 0.5) == 0.5
    assert type(TrainingPlan(rule=name).update_rule()) is KINDS[name]


def test_every_shipped_rule_is_tried() -> None:
    assert set(KINDS) == set(plugins.names(plugins.UPDATE_RULES))


@dataclass
class Halves(Manhattan):
    """Half a step at a time."""

    rest: float = 0.5


@dataclass
class Bare:
    """No rule at all."""

    width: float
    quality: float = 1.0


def test_a_rule_of_somebody_else_is_found_made_and_given_options() -> None:
    plugins.register(plugins.UPDATE_RULES, "halves", Halves)
    plan = TrainingPlan(rule="halves", pulse_volts=1.0, rule_options={"rest": 0.25})
    rule: Any = plan.update_rule()
    assert (type(rule), rule.rest, rule.set_volts) == (Halves, 0.25, 1.0)
    rule.check(fake_spec())
    with pytest.raises(RefusedError, match=r"argument of rule 'halves' 'rset': .*did you mean 'rest'"):
        TrainingPlan(rule="halves", rule_options={"rset": 1}).update_rule()


def test_what_is_no_rule_is_refused() -> None:
    plugins.register(plugins.UPDATE_RULES, "bare", Bare)
    with pytest.raises(RefusedError, match="'bare' is no update rule: it lacks needs_samples, check"):
        make_rule("bare", TrainingPlan())
    with pytest.raises(RefusedError, match=r"'bare' cannot be made: .*; it takes width, quality"):
        make_rule("bare", object())


def test_an_unknown_rule_is_refused_when_the_plan_is_made() -> None:
    with pytest.raises(RefusedError, match=r"'rule'.*unknown update rule 'manhatten'.*did you mean 'manhattan'"):
        TrainingPlan(rule="manhatten")
