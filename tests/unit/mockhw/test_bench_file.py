"""The bench file: what it builds, and one clear sentence for what it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xbarlab.mockhw.bench.bench import bench_for, fresh_bench
from xbarlab.mockhw.bench.file import BenchFileError

SHIPPED = Path(__file__).parents[3] / "runbooks" / "stations" / "mock_ta_hfo2.bench.yaml"
ADDRESS = "TCPIP0::127.0.0.1::5025::SOCKET"
BOARD = f'  - {{kind: array_board, address: "{ADDRESS}"}}\n'


def write(folder: Path, chip: str = "{profile: ta_hfo2_1t1r}", instruments: str = BOARD, rest: str = "") -> Path:
    path = folder / "some.bench.yaml"
    path.write_text(f"chip: {chip}\ninstruments:\n{instruments}{rest}", encoding="utf-8")
    return path


def test_the_shipped_bench_is_a_board_on_the_default_chip() -> None:
    bench = fresh_bench(SHIPPED)
    assert list(bench.instruments) == [ADDRESS]
    assert (bench.chip.rows, bench.chip.cols, bench.seed) == (128, 64, 0)


def test_one_owner_per_file_until_it_is_made_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    bench = bench_for(path)
    monkeypatch.chdir(tmp_path)
    assert bench_for("some.bench.yaml") is bench, "one file is one bench, however it is spelled"
    other = fresh_bench(path, seed=7)
    assert other is not bench
    assert bench_for(path) is other
    assert other.seed == 7


def test_the_seed_makes_the_chip(tmp_path: Path) -> None:
    def currents(seed: int) -> np.ndarray:
        chip = fresh_bench(write(tmp_path), seed=seed).chip
        return chip.read(slice(0, 4), slice(0, 4), 0.2, 5.0, 1)

    assert np.array_equal(currents(3), currents(3))
    assert not np.array_equal(currents(3), currents(4))


def test_a_chip_may_differ_from_its_profile(tmp_path: Path) -> None:
    change = "{wiring.row_segment: {value: 2.5, source: assumed}}"
    bench = fresh_bench(write(tmp_path, f"{{profile: ta_hfo2_1t1r, changes: {change}}}"))
    assert bench.chip.wires.row_ohm == 2.5
    assert bench.chip.profile.name == "ta_hfo2_1t1r (wiring.row_segment 2.5)"
    assert bench.chip.profile.wiring.row_segment.source == "assumed"


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        *(
            ({"chip": f"{{profile: ta_hfo2_1t1r, changes: {{{change}}}}}"}, sentence)
            for change, sentence in (
                ("wiring.row: {value: 1, source: assumed}", r"no 'row' in 'wiring\.row' .* known here: row_segment"),
                ("wiring: {value: 1, source: assumed}", r"'wiring' is a section, not a number: .* row_segment"),
                ("wiring.sense: {value: 1}", r"change of 'wiring\.sense' needs value and source, not value"),
                ("wiring.sense: {value: 1, source: ''}", r"source"),
            )
        ),
        ({"chip": "{profile: nothing}"}, r"chip\.profile: .*'nothing'.* shipped profiles are .*ta_hfo2_1t1r"),
        ({"chip": "{profil: ta_hfo2_1t1r}"}, r"unknown key 'chip\.profil', did you mean 'profile'; known here: .*seed"),
        ({"chip": "{profile: ta_hfo2_1t1r, seed: many}"}, r"chip\.seed: .*, got 'many'"),
        ({"instruments": BOARD + BOARD}, rf"two instruments at address {ADDRESS}"),
        ({"instruments": "  - {kind: scope, address: x}\n"}, r"no simulated instrument 'scope'; known are"),
        ({"instruments": '  - {kind: array_board, address: "shelf 3"}\n'}, r"'shelf 3' is not a VISA resource name"),
        ({"instruments": "  - {kind: array_board}\n"}, r"key 'instruments\.0\.address' is missing"),
        ({"instruments": BOARD.replace("}", ", hue: red}")}, r"unknown key 'instruments\.0\.hue'; known here: kind"),
        ({"instruments": BOARD.replace("}", ", lacks: [wings]}")}, r"'wings' is no capability; known are sample"),
        ({"rest": "faults: [{kind: earthquake}]\n"}, r"'earthquake' is no fault; known are late_reply"),
        ({"rest": "faults: [{kind: no_reply, header: 'FOO?'}]\n"}, r"array_board has no command 'FOO\?'"),
        ({"rest": "faults: [{kind: no_reply, address: 'GPIB0::3::INSTR'}]\n"}, r"no instrument at GPIB0::3::INSTR"),
        ({"rest": "faulty: []\n"}, r"unknown key 'faulty', did you mean 'faults'"),
        ({"rest": "faults: [\n"}, r"not valid YAML"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(tmp_path: Path, edit: dict[str, str], sentence: str) -> None:
    with pytest.raises(BenchFileError, match=sentence) as caught:
        bench_for(write(tmp_path, **edit))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match=r"nowhere\.yaml does not exist"):
        bench_for(tmp_path / "nowhere.yaml")


def test_faults_reach_their_instrument(tmp_path: Path) -> None:
    rest = "faults:\n  - {kind: late_reply, header: 'read:map?', after: 1, seconds: 2e-1}\n"
    board = fresh_bench(write(tmp_path, rest=rest)).instruments[ADDRESS]
    board.receive(b"OUTP ON\n")
    times = []
    for _ in range(3):
        board.receive(b"READ:MAP? 0,1,0,1\n")
        begun = board.clock.now
        board.wait_for_reply()
        times.append(board.clock.now - begun)
    assert times == pytest.approx([2e-5, 0.2 + 2e-5, 2e-5])


def test_a_chip_lives_on_in_its_state_file(tmp_path: Path) -> None:
    path = write(tmp_path, chip="{profile: ta_hfo2_1t1r, seed: 2, state: chip.npz}")
    bench = fresh_bench(path)
    k = np.arange(64)
    bench.chip.pulse(0 * k, k, np.full(64, 3.3), np.full(64, 1e-3), np.full(64, 1.5), np.ones(64, dtype=np.int64))
    before = bench.chip.truth()
    board = bench.instruments[ADDRESS]
    board.connect()
    board.disconnect()
    assert (tmp_path / "chip.npz").is_file()
    after = fresh_bench(path, seed=5).chip.truth()
    for name, values in before.items():
        assert np.array_equal(values, after[name], equal_nan=values.dtype.kind == "f"), name


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_board_speaks_the_revision_its_entry_says(tmp_path: Path, protocol: int) -> None:
    board = f"  - {{kind: array_board, address: '{ADDRESS}', protocol: {protocol}, lacks: [outer_tiles, vmm]}}\n"
    instrument = fresh_bench(write(tmp_path, instruments=board)).instruments[ADDRESS]
    instrument.receive(b"SYST:CAP?\n")
    reply = instrument.wait_for_reply()
    assert reply is not None
    record = json.loads(reply[2 + int(reply[1:2]) :])
    assert record["protocol"] == f"xbarlab-board/{protocol}"
    features = {"long_counts"} if protocol == 2 else set()
    assert set(record["supports"]) == {"sample", "sweep", "reverse", "outer_update", "onboard_verify"} | features


def test_a_revision_there_is_none_of_is_refused(tmp_path: Path) -> None:
    board = f"  - {{kind: array_board, address: '{ADDRESS}', protocol: 3}}\n"
    with pytest.raises(BenchFileError, match=r"instruments.*protocol.*1.*2"):
        bench_for(write(tmp_path, instruments=board))
