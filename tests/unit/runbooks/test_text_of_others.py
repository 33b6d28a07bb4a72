"""What libraries and files say on the terminal: in a sentence of ours, shown and never obeyed."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from xbarlab import cli, open_bench
from xbarlab.analysis.report.report import Check
from xbarlab.common.errors import RefusedError
from xbarlab.common.text import reason
from xbarlab.instruments.chip.wear_ledger import WearLedger
from xbarlab.instruments.chip.wear_store import WearStore, wear_file
from xbarlab.instruments.limits import Limits
from xbarlab.protocols.keeping.storage import StorageError, writing
from xbarlab.runbooks.commands.station.check import Finding, print_findings
from xbarlab.runbooks.runner.ending import answer
from xbarlab.runbooks.runner.plugin_grant import ask_on_terminal
from xbarlab.runbooks.runner.tables import make_console, results_table

FULL = os.strerror(errno.ENOSPC)
HDF5 = (
    "Unable to synchronously create file (file write failed: time = Sun Nov 29 21:43:37 2026\n"
    ", filename = 'x.nc', file descriptor = 4, errno = 28, error message = 'No space left on device', buf = 0x5586)"
)
EVIL = "evil\x1b[31m\x1b]0;title\x07[/nothing]"
SHOWN = r"evil\x1b[31m\x1b]0;title\x07[/nothing]"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, HDF5), FULL),
        (OSError(HDF5), FULL),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), FULL),
        (OSError(errno.EACCES, "Permission denied", "x"), os.strerror(errno.EACCES)),
        (OSError("Unable to open file (truncated file: eof = 96, base_addr = 0)"), "Unable to open file"),
        (OSError(-2, "Name or service not known"), "Name or service not known"),
        (ValueError("one\n two. Three"), "one two"),
        (ValueError("x" * 500), "x" * 157 + "..."),
        (RecursionError(), "RecursionError"),
    ],
)
def test_the_reason_is_a_few_words(error: Exception, said: str) -> None:
    assert reason(error) == said


def test_a_file_that_a_library_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, writing(tmp_path / "export" / "1.nc", then="export it again"):
        raise OSError(errno.ENOSPC, HDF5)
    said = str(caught.value)
    assert said == (
        f"{tmp_path / 'export' / '1.nc'} cannot be written: {FULL}. What was kept before is unharmed; put that right, "
        "then export it again"
    )


def test_a_cache_of_the_compiler_that_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    module = ModuleType("numba.core.caching")
    exec("def save():\n    raise OSError(28, 'No space left on device')", module.__dict__)
    with pytest.raises(OSError, match="No space") as caught:
        module.save()
    assert answer(caught.value) == 2
    said = capsys.readouterr().err
    assert f"could not be compiled ({FULL})" in said
    assert "NUMBA_CACHE_DIR" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("harm", ["pages", "table"])
def test_a_damaged_wear_ledger_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path))
    if harm == "pages":
        WearLedger("W12", (4, 3), store=WearStore(wear_file())).close()
        for beside in tmp_path.glob("*-*"):
            beside.unlink()
        content = bytearray(wear_file().read_bytes())
        content[4096:] = b"\x55" * (len(content) - 4096)
        wear_file().write_bytes(content)
    else:
        connection = sqlite3.connect(wear_file())
        connection.execute("CREATE TABLE chips (x)")
        connection.close()
    for command in (["chip", "list"], ["chip", "show", "W12"]):
        assert cli.main(command) == 2
        said = capsys.readouterr().err
        assert "cannot be read" in said
        assert "damaged, or no ledger of xbarlab" in said
        assert said.count("\n") == 1


def test_a_chip_s_name_is_shown_and_never_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XBARLAB_WEAR", str(tmp_path))
    with WearLedger(EVIL, (4, 3), store=WearStore(wear_file())) as ledger:
        ledger.add_unattributed(1.0, 1, Limits())
    assert cli.main(["chip", "list"]) == 0
    assert SHOWN in capfd.readouterr().out
    assert cli.main(["chip", "show", EVIL]) == 0
    assert cli.main(["chip", "show", EVIL + "x"]) == 2
    assert cli.main(["run", EVIL]) == 2
    assert cli.main([EVIL]) == 2
    said = "".join(capfd.readouterr())
    assert SHOWN in said
    assert "\x1b" not in said
    assert "\x07" not in said


def test_what_is_logged_is_shown_and_never_obeyed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def warns(*_: Any, **__: Any) -> int:
        record = logging.LogRecord("xbarlab", logging.WARNING, "x.py", 1, "chip %s", (EVIL,), None)
        assert logging.lastResort is not None  # pytest has handlers of its own
        logging.lastResort.handle(record)
        return 0

    monkeypatch.setattr(cli, "_command", lambda: warns)
    assert cli.main(["chip", "list"]) == 0
    assert capfd.readouterr().err == f"chip {SHOWN}\n"


def test_tables_show_text_of_files_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    make_console().print(EVIL)
    check = Check(metric=EVIL, value=1.0, minimum=2.0)
    console = make_console()
    console.print(results_table({}, [check], width=console.width))
    print_findings([Finding("limits", EVIL, "[/x]", False, f"remedy [/y] {EVIL}")])
    said = capsys.readouterr().out
    assert said.count(r"evil\x1b[31m\x1b]0;title[/nothing]") == 2  # rich leaves a bell out
    assert said.count(r"evil\x1b[31") == 4, "those in tables may be cut to the width of a column"
    assert "MISSED" in said
    assert "[/x]" in said
    assert "not ok" in said
    assert "\x1b" not in said


def test_who_is_asked_for_a_plug_in_sees_its_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n", raising=False)
    assert not ask_on_terminal(f"run {EVIL}?")
    assert capsys.readouterr().err == f"run {SHOWN}? [y/N] "


def test_a_home_that_is_no_folder_is_one_sentence_in_a_notebook_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(RefusedError, match=r"HOME is .*home, which is no folder: QCoDeS .*; set HOME"):
        open_bench("mock_tio2")
    assert cli.main(["chip", "list"]) == 2
    assert "HOME is" in capsys.readouterr().err
    assert cli.main(["list", "stations"]) == 0
