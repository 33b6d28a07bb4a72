"""The wire log: every message with its time, blocks by length and checksum, in files that turn over."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.served import BOARD, Way, served
from xbarlab import cli, open_bench
from xbarlab.common.errors import RefusedError, XbarlabError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.wire.ports import VisaPort
from xbarlab.instruments.wire.wire_log import WireLog, read_log
from xbarlab.mockhw.faults import Fault


def messages(path: Path, direction: str = ">") -> list[str]:
    return [entry.message for entry in read_log(path) if entry.direction == direction]


def test_a_bench_is_written_down_from_its_first_message_to_its_last(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "wire.log"
    with open_bench("mock_ta_hfo2", seed=1, trace=path) as bench:
        bench.array.read(Block(0, 1, 0, 2))
        bench.array.pulse(PulseMap(Block(0, 1, 0, 1), 0.5, 1e-6, 1.0))
    sent = messages(path)
    assert sent[0] == "*IDN?"
    assert sent[-1] == "OUTP?"
    planes = np.array([0.5 / 1.52587890625e-4], "<i2").tobytes()
    (map_,) = [message for message in sent if message.startswith("PULS:MAP")]
    assert re.fullmatch(r"PULS:MAP 0,1,0,1,<block 10 bytes, crc32 [0-9a-f]{8}>;:SYST:ERR\?", map_)
    assert planes  # the code is in the block, of which the checksum is kept
    assert any(re.fullmatch(r"<block 18 bytes, crc32 [0-9a-f]{8}>", message) for message in messages(path, "<"))
    times = [entry.seconds for entry in read_log(path)]
    assert times == sorted(times)
    assert {entry.instrument for entry in read_log(path)} == {"board"}


def test_off_there_is_nothing_of_it() -> None:
    with open_bench("mock_ta_hfo2", seed=1) as bench:
        array: Any = bench.array
        assert type(array.wire.line.port) is VisaPort


@pytest.mark.parametrize("way", ["tcp"])
def test_a_connection_that_is_opened_anew_goes_on_in_the_log(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "wire.log"
    with served("ta_hfo2", way, tmp_path) as (bench, mock):
        with open_bench(bench.path, trace=path) as traced:
            mock.script_faults(BOARD, [Fault("drop_connection", "READ:MAP?")])
            traced.array.read(Block(0, 1, 0, 2))
        assert traced.incidents
    assert messages(path, "!")[0] == "the other end closed the connection"
    assert messages(path, "*").count("opened") == 2
    assert messages(path)[-1].endswith("OUTP?")


def test_checksum_length_and_odd_bytes(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.log")
    payload = bytes(range(256))
    log.write("smu", ">", b"UPD:OUT 1,#13abc,#3256" + payload + b";:SYST:ERR?\n")
    log.write("smu", "<", b'\x00\xff"#x";0,"No error"\r\n')
    log.write("smu", "<", b"#3256" + payload[:5])
    log.close()
    assert [entry.message for entry in read_log(tmp_path / "wire.log")] == [
        f"UPD:OUT 1,<block 3 bytes, crc32 {zlib.crc32(b'abc'):08x}>,"
        f"<block 256 bytes, crc32 {zlib.crc32(payload):08x}>;:SYST:ERR?",
        r'\x00\xff"#x";0,"No error"',
        f"<block 256 bytes of which 5 here, crc32 {zlib.crc32(payload[:5]):08x}>",
    ]


def test_files_turn_over_and_are_read_as_one(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.log", rotate=1000, kept=2)
    for number in range(100):
        log.write("smu", ">", f"SOUR:VOLT {number}".encode())
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wire.log", "wire.log.1", "wire.log.2"]
    assert all(path.stat().st_size < 1100 for path in tmp_path.iterdir())
    kept = messages(tmp_path / "wire.log")
    assert kept == [f"SOUR:VOLT {number}" for number in range(100 - len(kept), 100)]


def test_a_log_that_cannot_be_written_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with (
        pytest.raises(RefusedError, match=r"wire log .* cannot be written"),
        open_bench("mock_ta_hfo2", trace=tmp_path),
    ):
        pass


def test_the_end_of_the_disk_ends_the_log_and_not_the_run(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.log")
    log.close()
    log.write("smu", ">", b"*IDN?")
    assert log.trouble


def test_the_command_line_writes_and_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "wire.log")
    assert cli.main(["read", "--station", "mock_tio2", "--cell", "0,1", "--trace", path]) == 0
    capsys.readouterr()
    assert cli.main(["trace", "show", path]) == 0
    whole = capsys.readouterr().out.splitlines()
    assert cli.main(["trace", "show", path, "--instrument", "matrix"]) == 0
    matrix = capsys.readouterr().out.splitlines()
    assert {line.split()[3] for line in whole} == {"row_smu", "column_smu", "pulser", "matrix"}
    assert [line.split()[3:] for line in matrix] == [line.split()[3:] for line in whole if line.split()[3] == "matrix"]
    assert cli.main(["trace", "show", path, "--instrument", "matrx"]) == 2
    assert "did you mean 'matrix'" in capsys.readouterr().err
    assert cli.main(["read", "--station", "mock_tio2", "--cell", "0,1"]) == 0
    capsys.readouterr()
    assert cli.main(["trace", "show", path]) == 0
    assert capsys.readouterr().out.splitlines() == whole, "without the option nothing is added"


def test_what_is_no_wire_log_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("hello\n", encoding="utf-8")
    for name in ("other.txt", "none.log"):
        with pytest.raises(XbarlabError, match="wire log"):
            list(read_log(tmp_path / name))
