"""Options of the test command."""

import gc
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress

import pytest

_WEAR = tempfile.mkdtemp(prefix="xbarlab-wear-")


def pytest_configure() -> None:
    """No test writes into the ledger of whoever runs it; signals reach children also of tests in the background."""
    os.environ["XBARLAB_WEAR"] = _WEAR
    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGQUIT", signal.SIG_DFL)):
        number = getattr(signal, name, None)  # there is no SIGQUIT on Windows
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)
    sqlite3.connect = _unsynced(sqlite3.connect)
    os.fsync = lambda _: None  # power is not cut in tests, processes are killed


def _unsynced(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """Leave out of a database's commits the wait for the disk."""

    def connected(*given: object, **named: object) -> sqlite3.Connection:
        connection = connect(*given, **named)
        with suppress(sqlite3.Error):  # what is damaged says so itself
            connection.execute("PRAGMA synchronous=OFF")
        return connection

    return connected


def pytest_unconfigure() -> None:
    shutil.rmtree(_WEAR, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--station", help="station file of a real bench, for tests marked 'hardware'")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow and long tests run when asked for by ``-m slow`` or ``-m long``, hardware tests only with a station."""
    wanted = config.getoption("-m")
    for item in items:
        if item.get_closest_marker("hardware") and not config.getoption("--station"):
            item.add_marker(pytest.mark.skip(reason="needs a real bench: pytest tests/hardware --station FILE"))
        elif item.get_closest_marker("slow") and "slow" not in wanted:
            item.add_marker(pytest.mark.skip(reason="slow: pytest -m slow"))
        elif item.get_closest_marker("long") and "long" not in wanted:
            item.add_marker(pytest.mark.skip(reason="long: pytest -m long"))


def pytest_collection_finish() -> None:
    """Modules and tests stay until the end: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _new_benches() -> None:
    """Begin every file of tests with fresh benches: a chip or a relay that one has worn out is not another's."""
    if bench := sys.modules.get("xbarlab.mockhw.bench.bench"):
        bench.forget_benches()


@pytest.fixture
def warned(recwarn: pytest.WarningsRecorder) -> Callable[[], list[str]]:
    """Return what a test was warned of; not what the collector finds of files that earlier tests left open."""
    return lambda: [str(one.message) for one in recwarn if not issubclass(one.category, ResourceWarning)]
