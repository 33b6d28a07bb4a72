"""``pytest --pyargs xbarlab.conformance --station FILE``: one test for every check of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .. import open_bench
from .checks import Check
from .contract import CHECKS
from .subject import NotHereError, Subject


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """Open the station once, say what will be done to its chip, and let go of it at the end."""
    config = request.config
    log = Path(tmp_path_factory.mktemp("conformance")) / "wire.log"
    log.touch()
    with open_bench(config.getoption("--station"), trace=log) as bench:
        on = Subject.on(bench, config.getoption("--cells"), log)
        reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        capture: Any = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            for line in on.announced():
                reporter.write_line(line)
        yield on


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_contract(subject: Subject, check: Check) -> None:
    """Hold the array to one line of the contract."""
    try:
        check.on(subject)
    except NotHereError as why:
        pytest.skip(str(why))
