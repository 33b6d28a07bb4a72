"""Options of the test command."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--station", help="station file of a real bench, for tests marked 'hardware'")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests run when asked for by ``-m slow``, hardware tests only with a station."""
    wanted = config.getoption("-m")
    for item in items:
        if item.get_closest_marker("hardware") and not config.getoption("--station"):
            item.add_marker(pytest.mark.skip(reason="needs a real bench: pytest tests/hardware --station FILE"))
        elif item.get_closest_marker("slow") and "slow" not in wanted:
            item.add_marker(pytest.mark.skip(reason="slow: pytest -m slow"))
