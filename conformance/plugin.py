"""What pytest is told when it is asked for ``xbarlab.conformance``; it does nothing in any other run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "xbarlab.conformance"
WITHOUT = (
    "the conformance suite needs the array it is to try: pytest --pyargs xbarlab.conformance --station FILE, FILE "
    "being a station file, or a shipped station like mock_ta_hfo2"
)


def _asked(args: Sequence[object]) -> bool:
    return any(str(one).startswith(NAME) for one in args)


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    """Add the options; where a conftest has one of that name already, that one is taken."""
    del early_config
    if not _asked(args):
        return
    for name, text in (
        ("--station", "station file, or name of a shipped station, of the array to try"),
        ("--cells", "cells that may be pulsed at the read voltage, like 0:2,0:2 [default: the first four]"),
    ):
        try:
            parser.addoption(name, help=text)
        except ValueError:
            continue


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run without a station in one sentence."""
    if _asked(config.args) and not config.getoption("--station", None):
        raise pytest.UsageError(WITHOUT)
