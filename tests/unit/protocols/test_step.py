"""A plan and a function as a step: what it is given, what it may return, what is refused, and going on after a cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from support.fake_array import FakeArray
from xbarlab import Block, Forecast, Plan, Run, step
from xbarlab.analysis.quantities import describe
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.joined import joined
from xbarlab.protocols.registry import step_kind, step_names
from xbarlab.runbooks.runner.expectations import metrics_of
from xbarlab.runbooks.runner.step import Step as RunbookStep

METRICS = {"rest_drift": "largest relative change of a cell at rest [fraction]"}


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    with plugins.scope():
        yield


class RestPlan(Plan):
    """Cells read again and again."""

    cells: str = "0:2,0:2"
    reads: int = 3


def rest(array: Any, plan: RestPlan, run: Run) -> Any:
    """Read the same cells again and again.

    A second paragraph.
    """
    block = Block.parse(plan.cells, array.spec)
    with run.measure("read", range(plan.reads), block, conductance="S") as work:
        for _ in work:
            work.keep(conductance=array.read(block).conductance)
    first, last = work["conductance"][0], work["conductance"][-1]
    return work.result(rest_drift=abs(last / first - 1).max())


def test_a_step_is_found_by_name_with_its_plan_text_and_metrics() -> None:
    step(metrics=METRICS)(rest)
    kind = step_kind("rest")
    assert (kind.name, kind.plan, dict(kind.metrics or {})) == ("rest", RestPlan, METRICS)
    assert kind.about == "Read the same cells again and again."
    assert "rest" in step_names()
    assert describe("rest_drift_ci95_low").unit == "fraction"
    assert describe("iv.rest_drift").definition == "largest relative change of a cell at rest"


def test_in_a_notebook_it_is_called_as_it_is() -> None:
    made = step(metrics=METRICS, name="resting")(rest)
    array = FakeArray()
    result = made(array, RestPlan(reads=4))
    assert set(result.metrics()) == {"rest_drift"}
    assert list(result.frame.columns) == ["read", "row", "col", "conductance [S]"]
    assert len(result.frame) == 4 * 4
    assert isinstance(result.plot(), Figure)
    assert "rest_drift" in repr(result)
    with pytest.raises(RefusedError, match=r"outside|beyond|rows"):
        made(array, RestPlan(cells="0:900,0:2"))


def test_its_section_has_text_figure_numbers_and_definitions(tmp_path: Path) -> None:
    made = step(metrics=METRICS)(rest)
    section = made(FakeArray(), RestPlan(), Run(tmp_path / "run", quiet=True)).section()
    assert section.title == "Rest"
    assert section.text.startswith("Read the same cells again and again.\n\nA second")
    assert len(section.figures) == 1
    ((_, table),) = section.tables
    assert table["definition"].tolist() == [METRICS["rest_drift"]]


def test_a_step_that_was_cut_goes_on_and_its_data_join(tmp_path: Path) -> None:
    whole, cut = FakeArray(), FakeArray()
    made, plan, folder = step(metrics=METRICS)(rest), RestPlan(reads=5), tmp_path / "run"
    wanted = made(whole, plan, Run(tmp_path / "whole", quiet=True))
    real, left = cut.read, [2]

    def read(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(*given, **named)

    cut.read = read  # type: ignore[method-assign]
    run = Run(folder, quiet=True)
    with pytest.raises(KeyboardInterrupt), run.step("rest", cut):
        made(cut, plan, run)
    left[0] = 99
    again = Run(folder, quiet=True, resumed=True)
    with again.step("rest", cut):
        result = made(cut, plan, again)
    assert 99 - left[0] == 3, "what was measured is not measured again"
    assert len(result.frame) == len(wanted.frame)
    assert joined(folder, "rest").conductance.size == 5 * 4


def test_numbers_by_name_are_a_result_and_what_is_none_is_refused() -> None:
    @step(metrics={"n": "a number"})
    def some(array: Any, plan: RestPlan, run: Run) -> Any:
        """Count."""
        return {"n": np.float32(3)}

    @step(metrics={"n": "a number"})
    def none(array: Any, plan: RestPlan, run: Run) -> Any:
        return 3

    assert some(FakeArray(), RestPlan()).metrics() == {"n": 3.0}
    assert some(FakeArray(), RestPlan()).section().figures == []
    with pytest.raises(RefusedError, match="step 'none' returned int: return"):
        none(FakeArray(), RestPlan())


def test_the_plan_is_the_annotation_or_said_or_the_only_one() -> None:
    @step(metrics={})
    def unsaid(array, plan, run):  # type: ignore[no-untyped-def]
        return {}

    @step(metrics={}, plan=RestPlan)
    def said(array, plan, run):  # type: ignore[no-untyped-def]
        return {}

    assert unsaid.plan is RestPlan
    assert said.plan is RestPlan
    for wrong in (lambda array, plan: {}, test_numbers_by_name_are_a_result_and_what_is_none_is_refused):
        with pytest.raises(RefusedError, match="a step is a function of"):
            step(metrics={})(wrong)

    def other(array: Any, plan: int, run: Run) -> Any: ...

    with pytest.raises(RefusedError, match="does not say its plan"):
        step(metrics={})(other)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"a-b": "x"}, "must be a word"),
        ({"x_ci95_low": "x"}, "must be a word"),
        ({"good": "  "}, "has no definition"),
        ({"yield_fraction": "something else"}, "'yield_fraction' is taken: it is “switching cells over all cells”"),
    ],
)
def test_a_metric_without_a_proper_name_or_definition_is_refused(metrics: dict[str, str], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        step(metrics=metrics)(rest)
    assert "rest" not in step_names()


def test_a_shipped_name_cannot_be_taken() -> None:
    with pytest.raises(RefusedError, match="'read_array' is offered twice"):
        step(metrics=METRICS, name="read_array")(rest)


def test_a_short_plan_says_its_cells_and_no_more() -> None:
    spec = FakeArray().spec
    said = RestPlan().forecast(spec)
    assert said.cells == 4
    assert np.isnan([said.volts_max, said.pulses, said.seconds]).all()
    with pytest.raises(RefusedError):
        RestPlan(cells="nonsense").check(spec)
    from xbarlab.runbooks.runner.tables import forecast_table, make_console

    console = make_console()
    with console.capture() as shown:
        console.print(forecast_table([("rest", "rest", said), ("x", "y", Forecast(1, 0.2, 3, 1.0))]))
    assert shown.get().count("not said") == 6, "three of the step, three of the sum"


def test_a_unit_that_is_not_kept_and_quantities_that_do_not_fit_are_refused() -> None:
    block, run = Block(0, 2, 0, 2), Run(None)
    with run.measure("read", [1.0], block, conductance="S") as work:
        with pytest.raises(RefusedError, match="outside of a unit"):
            work.keep(conductance=np.ones((2, 2)))
        for _ in work:
            with pytest.raises(RefusedError, match="got current; this work measures conductance"):
                work.keep(current=1)
            with pytest.raises(RefusedError, match=r"has shape \(3,\); the cells have \(2, 2\)"):
                work.keep(conductance=np.ones(3))
            work.keep(conductance=np.ones((2, 2)))
    with pytest.raises(RefusedError, match="begun and not kept"), run.measure("read", [1.0], block, g="S") as work:
        for _ in work:
            pass
    with pytest.raises(RefusedError, match="at least one finite number"):
        run.measure("read", [], block, g="S")


def test_what_a_plan_says_it_measures_need_not_be_said_again() -> None:
    class TellingPlan(RestPlan):
        """Says what it measures, as the plans of shipped trainings do."""

        def measures(self) -> frozenset[str]:
            return frozenset({"g_read_median"})

    @step(plan=TellingPlan)
    def telling(array: Any, plan: Any, run: Run) -> Any:
        """Tell."""
        return {"g_read_median": 1e-6}

    kind = step_kind("telling")
    assert metrics_of(RunbookStep("tell", kind, TellingPlan())) == {"g_read_median"}
    assert telling(FakeArray(), TellingPlan()).metrics() == {"g_read_median": 1e-6}
