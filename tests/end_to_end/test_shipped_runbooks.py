"""What ships must fit together: every runbook's plans pass its own station's chip and limits."""

import json

import pytest

from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import list_runbooks, load_runbook


@pytest.mark.parametrize("name", sorted(list_runbooks()))
def test_every_shipped_runbook_dry_runs_on_its_own_station(name: str) -> None:
    if name.startswith(("train_", "infer_")):
        pytest.importorskip("torch")
    outcome = run_runbook(name, dry_run=True, quiet=True)
    assert outcome.exit_code == 0
    assert outcome.directory is None
    assert all(forecast.cells > 0 for _, _, forecast in outcome.forecasts)


@pytest.mark.parametrize("name", sorted(list_runbooks()))
def test_what_a_run_keeps_of_its_plans_is_read_again(name: str) -> None:
    """A resume, a report and an export read the plans of the run card, where every value is written out."""
    if name.startswith(("train_", "infer_")):
        pytest.importorskip("torch")
    for preset in ("", "quick"):
        for step in load_runbook(name, preset=preset).steps:
            kept = json.loads(json.dumps(step.plan.model_dump(mode="json")))
            assert type(step.plan)(**kept) == step.plan, step.id
