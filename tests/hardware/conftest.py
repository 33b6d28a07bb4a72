"""The bench under test, opened once for all tests of a file."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[object]:
    from xbarlab import open_bench

    with open_bench(request.config.getoption("--station")) as opened:
        yield opened
