"""Counts beyond 16 bits (board-protocol §10.5): the driver's exact bytes, and what boards without them are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import PulseMap, VerifyRequest
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.errors import InstrumentError, UnconfirmedError, UnsupportedError
from xbarlab.instruments.joined.spec import joined_spec

PAGE = (Path(__file__).parents[2] / "docs" / "board-protocol.md").read_text(encoding="utf-8")
OK = b'0,"No error"\n'
ON = (b"*ESR?;:OUTP ON;:SYST:ERR?\n", b"0;" + OK)
SETTINGS = (b"SOUR:READ:VOLT 0.2;:SENS:AVER 16;:SOUR:READ:GATE 5;:SYST:ERR?\n", OK)
SAYS: dict[str, Any] = dict(fake.CAPABILITY)
LONG: dict[str, Any] = {
    **SAYS,
    "protocol": "xbarlab-board/2",
    "rows": 8,
    "cols": 12,
    "supports": [*SAYS["supports"], "long_counts"],
    "long": {"count_max": 1_000_000_000, "reads_max": 1_000_000_000},
}
REVISION_1: dict[str, Any] = {**LONG, "protocol": "xbarlab-board/1"}
NO_FEATURE = {name: value for name, value in LONG.items() if name != "long"} | {"supports": ["sample"]}
ONE = Block(0, 1, 0, 1)


def no_wait(_seconds: float) -> None:
    """Let the script answer at once."""


class Cable:
    def __init__(self) -> None:
        self.boards: list[Any] = []

    def board(
        self, *script: tuple[bytes, bytes | BaseException], capability: Any = LONG, name: str = "board", **kwargs: Any
    ) -> Any:
        resource = fake.ScriptedResource([*fake.opening(capability), *script])
        board: Any = CrossbarBoard(name, resource=resource, **kwargs)
        board.clock.wait = no_wait
        self.boards.append(board)
        return board, resource


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    for board in cable.boards:
        board.visa_handle.script = [(b"ABOR\n", b""), (b"SOUR:ZERO\n", b""), (b"OUTP OFF\n", b""), (b"SYNC", b"")]
        board.visa_handle.script += [(b"SYST:ERR?\n", OK), (b"OUTP?\n", b"0\n")]
        board.close()


def map_of(volts: int, count: int, ticks: int, *, long: bool) -> bytes:
    """Return message and block of a map of cell (0, 0)."""
    kinds = ("<i2", "<i2", "<u4" if long else "<u2", "<u4")
    planes = zip((volts, 0, count, ticks), kinds, strict=True)
    payload = b"".join(np.array([value], kind).tobytes() for value, kind in planes)
    header = b"PULS:MAP:LONG" if long else b"PULS:MAP"
    return header + b" 0,1,0,1," + fake.block(payload) + b";:SYST:ERR?\n"


def done(slots: int, seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    told = f"MAP,{slots},{slots},{slots},{seconds},{seconds}".encode()
    start = f"MAP,{slots},0,0,{seconds},0\n".encode()
    return (b"PULS:LAST?\n", start), (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b"1;" + told + b";" + OK)


def test_the_block_of_a_long_map_is_that_of_the_page(cable: Cable) -> None:
    found = re.search(r"```hex long\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    board, resource = cable.board(
        ON, (b"PULS:MAP:LONG 3,1,10,2,#224" + bytes.fromhex(found[1]) + b";:SYST:ERR?\n", OK), *done(1_000_003, 5.2)
    )
    lsb = board.spec.volts_lsb
    volts, gates = [[13107 * lsb, -11141 * lsb]], [[8192 * lsb, 32767 * lsb]]
    delivered = board.pulse(PulseMap(Block(3, 1, 10, 2), volts, 2e-7, gates, [[1_000_000, 3]]))
    assert delivered.count.tolist() == [[1_000_000, 3]]
    assert (board.cost.slots, board.cost.pulses, board.cost.transactions) == (1_000_003, 1_000_003, 1)
    assert board.wear.maps()["set_pulses"][3, 10] == 1e6
    assert board.wear.maps()["reset_pulses"][3, 11] == 3.0
    resource.assert_done()


@pytest.mark.parametrize(("count", "long"), [(65535, False), (65536, True), (2**20, True), (1_000_000_000, True)])
def test_a_count_that_fits_goes_out_as_before(cable: Cable, count: int, long: bool) -> None:
    board, resource = cable.board(ON, (map_of(6553, count, 10, long=long), OK), *done(count, 0.3))
    board.pulse(PulseMap(ONE, 6553 * board.spec.volts_lsb, 1e-7, 0.0, count))
    assert board.wear.maps()["pulses"][0, 0] == count
    resource.assert_done()


def test_the_limit_is_what_the_board_says(cable: Cable) -> None:
    few = {**LONG, "long": {"count_max": 200_000, "reads_max": 100}}
    board, resource = cable.board(capability=few)
    assert board.limits.count_max == 200_000
    with pytest.raises(RefusedError, match=r"count 200001 pulses at .* is above the limit 200000 .*capability record"):
        board.pulse(PulseMap(ONE, 1.0, 1e-7, 0.0, 200_001))
    with pytest.raises(RefusedError, match=r"reads 101 .* 1 to 100 "):
        board.read_repeated(ONE, reads=101)
    resource.assert_done()


def test_no_board_says_more_than_its_planes_hold(cable: Cable) -> None:
    board, _ = cable.board(capability={**LONG, "long": {"count_max": 10**12, "reads_max": 10**12}})
    assert board.limits.count_max == 2**32 - 1


@pytest.mark.parametrize("capability", [REVISION_1, NO_FEATURE, {**SAYS, "count_max": 10**6}])
def test_a_board_without_them_refuses_and_says_what_it_takes(cable: Cable, capability: Any) -> None:
    board, resource = cable.board(capability=capability)
    with pytest.raises(RefusedError, match=r"count 65536 pulses at .* limit 65535 pulses \(count_max\).*long_counts"):
        board.pulse(PulseMap(ONE, 1.0, 1e-7, 0.0, 65536))
    with pytest.raises(UnsupportedError, match=r"1 read in one command.*long_counts"):
        board.read_repeated(ONE, reads=2)
    with pytest.raises(
        RefusedError, match=r"average 70000 is not a whole number of 1 to 1024: .*needs .*averages more"
    ):
        board.read(ONE, average=70000)
    resource.assert_done()


def test_a_record_that_lists_them_without_numbers_is_refused() -> None:
    capability: dict[str, Any] = {name: value for name, value in LONG.items() if name != "long"}
    with pytest.raises(InstrumentError, match=r"cannot be used: lacks 'long'"):
        CrossbarBoard("board", resource=fake.ScriptedResource(fake.opening(capability)))


def test_a_chip_file_may_narrow_a_long_count_and_not_widen_a_short_one(cable: Cable) -> None:
    record = {"format": 1, "id": "c", "cell": "1T1R", "rows": 8, "cols": 12}
    chip = parse_chip({**record, "limits": {"count_max": 1_000_000}}, source="c.chip.yaml")
    board, _ = cable.board(chip=chip)
    with pytest.raises(RefusedError, match=r"limit 1e\+06 pulses .*c\.chip\.yaml"):
        board.pulse(PulseMap(ONE, 1.0, 1e-7, 0.0, 1_000_001))
    with pytest.raises(RefusedError, match=r"count_max = 1e\+06 is wider than the 65535 of the board.*long_counts"):
        CrossbarBoard("other", resource=fake.ScriptedResource(fake.opening(REVISION_1)), chip=chip)


def test_joined_boards_count_as_the_one_that_counts_least(cable: Cable) -> None:
    (long, _), (short, _) = cable.board(), cable.board(name="short", capability=REVISION_1)
    joined = joined_spec([long.spec, short.spec], "both")
    assert joined.limits.count_max == 65535
    assert "long_counts" in joined.limits.whose("count_max")
    assert joined_spec([long.spec, long.spec], "two").limits.count_max == 1_000_000_000


def test_updates_and_read_verify_keep_their_16_bits(cable: Cable) -> None:
    board, resource = cable.board()
    board.update_width(1e-6)
    board.update_set_volts(1.5)
    board.update_reset_volts(1.5)
    with pytest.raises(RefusedError, match=r"pulses 65536 turns at outer_update is outside 1 to 65535"):
        board.outer_update(np.ones(8), np.ones(12), pulses=65536)
    request = VerifyRequest(
        block=ONE, target=np.full((1, 1), 1e-4), tolerance=1e-6, width=1e-6, set_volts=1.0, set_gate=(1.0, 2.0, 0.1),
        reset_volts=(1.0, 2.0, 0.1), reset_gate=5.0, pulses_max=65536,
    )  # fmt: skip
    with pytest.raises(RefusedError, match=r"pulses_max 65536 pulses at read-verify is outside 1 to 65535"):
        board.program_verify(request)
    resource.assert_done()


# -- many reads --------------------------------------------------------------------------------------------------------


def test_many_reads_are_one_command(cable: Cable) -> None:
    reply = fake.block(np.array([1e-6, 1e-8], "<f4").tobytes() + bytes([4])) + b"\n"
    board, resource = cable.board(
        ON, SETTINGS, (b"SENS:RANG?\n", b"AUTO\n"), (b"SYST:WATC:SUSP 11.5000105;:READ:REP? 2,1,3,1,1000000\n", reply)
    )
    reading = board.read_repeated(Block(2, 1, 3, 1), 0.2, reads=1_000_000, average=16)
    assert reading.conductance[0, 0] == pytest.approx(5e-6)
    assert (board.cost.transactions, board.cost.slots, board.cost.pulses) == (1, 1_000_001, 0)
    resource.assert_done()


def test_fewer_reads_than_are_averaged_are_refused(cable: Cable) -> None:
    board, resource = cable.board()
    for reads, says in ((15, "reads 15 .* 16 to 1e"), (16.5, "16.5 is not a whole"), (float("nan"), "reads nan")):
        with pytest.raises(RefusedError, match=says):
            board.read_repeated(ONE, reads=reads, average=16)
    resource.assert_done()


def test_many_reads_whose_answer_is_lost_are_not_given_twice(cable: Cable) -> None:
    gone = ConnectionResetError("gone")
    lost = ((b"READ:REP? 0,1,0,1,100000\n", gone), (b"ABOR\n", gone))
    board, _ = cable.board(ON, SETTINGS, (b"SENS:RANG?\n", b"0.0001\n"), *lost)
    with pytest.raises(UnconfirmedError, match=r"cell \(0, 0\) may have had up to 100000 reads"):
        board.read_repeated(ONE, 0.2, reads=100_000, average=16)
    assert sum(message.startswith(b"READ:REP?") for message in board.visa_handle.sent) == 1


def test_an_average_beyond_16_bits_is_one_read_where_the_board_averages_so_many(cable: Cable) -> None:
    reads = {**SAYS["read"], "average_max": 1_000_000}
    reply = fake.block(np.array([1e-6, 1e-9], "<f4").tobytes() + bytes(1)) + b"\n"
    board, resource = cable.board(
        ON,
        (b"SOUR:READ:VOLT 0.2;:SENS:AVER 1000000;:SOUR:READ:GATE 5;:SYST:ERR?\n", OK),
        (b"SENS:RANG?\n", b"0.0001\n"),
        (b"SYST:WATC:SUSP 11.5;:READ:MAP? 0,1,0,1\n", reply),
        capability={**LONG, "read": reads},
    )
    assert board.spec.average_max == 1_000_000
    board.read(ONE, 0.2, average=1_000_000)
    assert board.cost.slots == 1_000_000
    resource.assert_done()
