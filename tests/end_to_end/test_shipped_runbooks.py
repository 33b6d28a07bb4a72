"""What ships must fit together: every runbook's plans pass its own station's chip and limits."""

import pytest

from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import list_runbooks


@pytest.mark.parametrize("name", sorted(list_runbooks()))
def test_every_shipped_runbook_dry_runs_on_its_own_station(name: str) -> None:
    if name.startswith("train_"):
        pytest.importorskip("torch")
    outcome = run_runbook(name, dry_run=True, quiet=True)
    assert outcome.exit_code == 0
    assert outcome.directory is None
    assert all(forecast.cells > 0 for _, _, forecast in outcome.forecasts)
