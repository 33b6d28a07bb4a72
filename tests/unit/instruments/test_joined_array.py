"""Several boards as one array: what is split, what adds up, what is refused, and layers larger than a board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, fake_spec
from support.training_bench import write_two_boards
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Samples, Sweeps, UpdatesByOuterProduct, VerifiesOnBoard
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost, CrossbarArray, OuterProducts, PulseDrive, PulseMap, VerifyRequest
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError, UnconfirmedError
from xbarlab.instruments.joined.array import JoinedArrays
from xbarlab.instruments.joined.spec import joined_spec
from xbarlab.protocols.measure.yield_map import YieldMapPlan, yield_map
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.floor_plan import FloorPlan
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, good_lines, plan_floor
from xbarlab.protocols.training.rules.outer_rules import OuterProduct
from xbarlab.protocols.training.rules.update_rules import TwoPulse
from xbarlab.runbooks.stations import open_bench

SIZES = ((16, 12), (20, 10))
PARTS = (Block(0, 16, 0, 12), Block(16, 20, 12, 10))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_two_boards(tmp_path, "gate_voltage_1t1r", sizes=SIZES)) as bench:
        yield bench


@pytest.fixture
def array(bench: Any) -> JoinedArrays:
    return bench.array


def set_all(array: Any) -> None:
    gates = np.random.default_rng(2).uniform(0.7, 1.6, (array.spec.rows, array.spec.cols))
    there = array.spec.healthy_mask(array.spec.whole)
    array.pulse(PulseMap(array.spec.whole, 2.5, 500e-9, gates, there.astype(int)))


def fakes(**second: Any) -> tuple[FakeArray, FakeArray, JoinedArrays]:
    one, two = FakeArray(), FakeArray(**second)
    one.spec, two.spec = replace(one.spec, name="one"), replace(two.spec, name="two")
    return one, two, JoinedArrays([one, two])


def test_boards_lie_on_the_diagonal(array: JoinedArrays) -> None:
    spec = array.spec
    assert isinstance(array, CrossbarArray)
    assert (spec.rows, spec.cols, spec.parts) == (36, 22, PARTS)
    there = spec.healthy_mask(spec.whole)
    assert there.sum() == 16 * 12 + 20 * 10
    assert not there[:16, 12:].any()
    assert not there[16:, :12].any()
    assert array.name == "left + right"
    assert spec.read_slots(Block(10, 12, 8, 8)) == 12


def test_products_are_those_of_the_block_diagonal_matrix(array: JoinedArrays) -> None:
    set_all(array)
    before = array.cost.transactions
    held = np.nan_to_num(array.read(array.spec.whole).conductance)
    assert array.cost.transactions - before == 2
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (7, 36)).astype(np.float32)
    out = array.vmm(volts, full_scale=1e-3)
    assert out.dtype == np.float32
    assert out == pytest.approx(volts @ held, abs=1e-6)  # steps of 0.03 µA, and noise
    assert array.vmm(volts[0]) == pytest.approx(volts[0] @ held, abs=1e-6)
    back = np.random.default_rng(1).uniform(-0.2, 0.2, (3, 22))
    assert array.vmm(back, reverse=True) == pytest.approx(back @ held.T, abs=1e-6)


def test_a_board_whose_rows_are_at_0_volts_is_not_driven(array: JoinedArrays) -> None:
    volts = np.zeros((4, 36), np.float32)
    volts[:, 20] = 0.1
    costs = [board.cost for board in array.boards]
    out = array.vmm(volts, full_scale=1e-3)
    spent = [board.cost - cost for board, cost in zip(array.boards, costs, strict=True)]
    assert [cost.transactions for cost in spent] == [0, 1]
    assert (out[:, :12] == 0.0).all()
    before = array.cost
    assert (array.vmm(np.zeros((2, 36))) == 0.0).all()
    assert array.cost == before


@pytest.mark.parametrize(
    ("volts", "full_scale", "words"),
    [
        (np.zeros((2, 35)), None, r"needs \[batch, 36\] voltages, not shape \(2, 35\)"),
        (np.full((2, 36), np.nan), None, "vmm_volts is nan at vmm input"),
        (np.full((2, 36), 0.4, np.float32), None, r"vmm_volts 0.4 V at vmm input \[0, 0\] is above the limit 0.3 V"),
        (np.zeros((2, 36)), 1.0, "full_scale 1 A is not above 0 and within the ranges"),
        ("x", None, "give plain numbers"),
    ],
)
def test_products_that_are_refused_drive_no_board(
    array: JoinedArrays, volts: Any, full_scale: float | None, words: str
) -> None:
    before = array.cost
    with pytest.raises(RefusedError, match=words):
        array.vmm(volts, full_scale=full_scale)
    assert array.cost == before


def test_reads_and_pulses_over_a_border(array: JoinedArrays) -> None:
    set_all(array)
    across = Block(14, 4, 10, 5)
    reading = array.read(across, average=64)
    assert np.isnan(reading.conductance[:2, 2:]).all()
    assert np.isnan(reading.conductance[2:, :2]).all()
    lower = array.boards[1].read(Block(0, 2, 0, 3), average=64).conductance
    assert reading.conductance[2:, 2:] == pytest.approx(lower, rel=1e-2)
    count = np.zeros(across.shape)
    count[0, 0], count[3, 3] = 1, 2
    done = array.pulse(PulseMap(across, -1.7, 500e-9, 5.0, count))
    assert done.pulses == 3
    assert done.count.tolist() == count.tolist()
    assert np.unique(done.volts).round(3).tolist() == [-1.7, 0.0]
    after = array.read(across).conductance
    assert after[0, 0] < 5e-6 < reading.conductance[0, 0]
    assert after[3, 3] < 5e-6 < reading.conductance[3, 3]
    assert after[1, 1] == pytest.approx(reading.conductance[1, 1], rel=0.05)


def test_one_cell_by_its_own_lines(array: JoinedArrays) -> None:
    set_all(array)
    trace = array.ability(Samples).sample(18, 14, 0.1, rate=1e4, seconds=0.01)
    assert (trace.row, trace.col) == (18, 14)
    truth = array.read(Block(18, 1, 14, 1), average=64).conductance[0, 0]
    assert trace.current.mean() / 0.1 == pytest.approx(truth, rel=0.02)
    swept = array.ability(Sweeps).sweep(18, 14, [0.0, 0.1, 0.2], compliance=1e-4, dwell=1e-3)
    assert (swept.row, swept.col) == (18, 14)
    assert swept.current[1] / 0.1 == pytest.approx(truth, rel=0.05)


def test_cells_between_boards_do_not_exist(array: JoinedArrays) -> None:
    before = array.cost
    asked = [
        lambda: array.pulse(PulseMap(array.spec.whole, 1.0, 1e-6, 1.0, 1)),
        lambda: array.pulse(PulseMap(Block(14, 4, 10, 5), 1.0, 1e-6, 1.0, np.eye(4, 5, 2))),
        lambda: array.read(Block(3, 1, 14, 1)),
        lambda: array.ability(Samples).sample(3, 14, 0.1, rate=1e3, seconds=0.01),
        lambda: array.ability(Sweeps).sweep(3, 14, [0.1], compliance=1e-4, dwell=1e-3),
    ]
    for act in asked:
        with pytest.raises(RefusedError, match=r"does not exist.*0:16,0:12 \(left\) and 16:36,12:22 \(right\)"):
            act()
    with pytest.raises(RefusedError, match="cells 0:4,14:16 are on no board"):
        array.read(Block(0, 4, 14, 2))
    with pytest.raises(RefusedError, match="outside left \\+ right, which has rows 0:36"):
        array.read(Block(30, 8, 0, 2))
    assert array.cost == before


def test_what_one_board_would_refuse_reaches_none(array: JoinedArrays) -> None:
    before = array.cost
    volts = np.full((36, 22), 1.0)
    volts[30, 20] = 99.0
    there = array.spec.healthy_mask(array.spec.whole)
    with pytest.raises(RefusedError, match=r"pulse_volts 99 V at pulse map 0:36,0:22, cell \[30, 20\]"):
        array.pulse(PulseMap(array.spec.whole, volts, 500e-9, 1.0, there.astype(int)))
    assert array.cost == before


def test_a_drive_that_one_board_would_refuse_reaches_none(array: JoinedArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = array._boards
    narrow = boards.spec.limits.narrowed({"set_volts_max": 1.0}, source="the second chip")
    monkeypatch.setattr(boards, "spec", replace(boards.spec, limits=narrow))
    before, part = array.cost, array.ability(UpdatesByOuterProduct)
    drive = PulseDrive(1.2, 1.0, 0.5, 1.0, 500e-9)
    for x in (np.ones(36), np.zeros(36)):
        with pytest.raises(RefusedError, match="the limit is set by the second chip"):
            part.outer_update(x, np.ones(22), pulses=1, drive=drive)
    products = [OuterProducts(PARTS[0], np.ones((1, 16)), np.ones((1, 12)))]
    with pytest.raises(RefusedError, match="the limit is set by the second chip"):
        part.outer_updates(products, pulses=1, drive=drive)
    assert array.cost == before


def test_boards_verify_their_own_cells(array: JoinedArrays) -> None:
    block = Block(14, 4, 10, 5)
    target = np.full(block.shape, np.nan)
    target[0, 0], target[3, 4] = 200e-6, 250e-6
    request = VerifyRequest(
        block, target, tolerance=10e-6, pulses_max=60, width=500e-9, set_volts=2.5, set_gate=(0.7, 1.6, 0.02),
        reset_volts=(1.7, 1.7, 0.1), reset_gate=5.0,
    )  # fmt: skip
    before = array.cost.transactions
    done = array.ability(VerifiesOnBoard).program_verify(request)
    assert array.cost.transactions - before == 2
    assert done.conductance[0, 0] == pytest.approx(200e-6, abs=11e-6)
    assert done.conductance[3, 4] == pytest.approx(250e-6, abs=11e-6)
    assert done.done[0, 0]
    assert done.pulses[0, 0] > 0
    assert np.isnan(done.conductance[0, 4])
    before = array.cost.transactions
    target[3, 4] = np.nan
    array.ability(VerifiesOnBoard).program_verify(replace(request, target=target))
    assert array.cost.transactions - before == 1
    target[0, 4] = 1e-4
    with pytest.raises(RefusedError, match=r"no target can be reached: cell \(14, 14\) does not exist"):
        array.ability(VerifiesOnBoard).program_verify(replace(request, target=target))


def test_costs_add_up_and_idle_boards_cost_nothing() -> None:
    one, two, joined = fakes()
    joined.read(Block(2, 3, 1, 2))
    assert (one.actions, two.actions) == (["read"], [])
    count = np.zeros((16, 12))
    count[15, 11] = 3
    joined.pulse(PulseMap(joined.spec.whole, 1.0, 1e-6, 1.0, count))
    assert one.actions == ["read"]
    assert two.actions == ["pulse"]
    assert joined.cost == one.cost + two.cost
    assert joined.cost.pulses == 3


def test_idle_reaches_every_board_and_then_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, joined = fakes()

    def fails() -> None:
        raise InstrumentError("one does not answer")

    monkeypatch.setattr(one, "idle", fails)
    with pytest.raises(InstrumentError, match="one does not answer"):
        joined.idle()
    assert two.idled == 1
    monkeypatch.setattr(two, "idle", fails)
    with pytest.raises(InstrumentError) as told:
        joined.close()
    assert told.value.__notes__ == ["and one does not answer"]


def test_a_board_that_fails_after_another_has_pulsed_leaves_nothing_unsaid() -> None:
    there = joined_spec([fake_spec(), fake_spec()], "both")
    everywhere = PulseMap(there.whole, 1.0, 1e-6, 1.0, there.healthy_mask(there.whole).astype(int))
    one, _, joined = fakes(fail_at=1, error=RefusedError("its wear budget is used up"))
    with pytest.raises(UnconfirmedError, match=r"wear budget is used up; in one \+ two, cells 0:16,0:12") as told:
        joined.pulse(everywhere)
    assert told.value.count[:8, :6].all()
    assert told.value.count.sum() == 48
    lost = UnconfirmedError("gone", Block(0, 8, 0, 6), np.full((8, 6), 2))
    one, _, joined = fakes(fail_at=1, error=lost)
    with pytest.raises(UnconfirmedError, match="as two has them") as told:
        joined.pulse(everywhere)
    assert told.value.count[8:, 6:].sum() == 96
    # What nothing came of is told as it is.
    one, _, joined = fakes(fail_at=1, error=ConnectionLostError("no answer"))
    with pytest.raises(ConnectionLostError, match=r"^no answer$"):
        joined.read(joined.spec.whole)
    only = np.zeros((16, 12))
    only[10, 10] = 1
    one, _, joined = fakes(fail_at=1, error=RefusedError("not this one"))
    with pytest.raises(RefusedError, match=r"^not this one$"):
        joined.pulse(replace(everywhere, count=only))
    assert one.cost == Cost()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cell": "passive"}, "kind of cell is 1T1R on the one and passive on the other"),
        ({"gate_axis": "row"}, "lines that carry the gates is col on the one and row"),
        ({"read_volts": 0.1}, r"read voltage \[V\] is 0.2 on the one and 0.1 on the other"),
        ({"read_gate": 3.0}, "gate voltage of reads"),
        ({"simulated": False}, "being a simulation is True on the one and False"),
        ({"read_ranges": (3e-3,)}, "share none of their read_ranges"),
        ({"write_schemes": ("V/2",)}, r"share none of their write_schemes \(fake: ground; other: V/2\)"),
        ({"sweep_dwell": (20.0, 30.0)}, "no pulse width or dwell time suits them all"),
    ],
)
def test_boards_that_differ_in_what_cannot_be_joined_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        joined_spec([fake_spec(), replace(fake_spec(), name="other", **change)], "both")


def test_two_boards_at_least_and_each_once() -> None:
    one, two, joined = fakes()
    with pytest.raises(RefusedError, match="1 board cannot be joined"):
        JoinedArrays([one])
    with pytest.raises(RefusedError, match="each board takes part once"):
        JoinedArrays([one, joined])
    third = FakeArray()
    assert JoinedArrays([joined, third]).boards == (one, two, third)


def test_the_narrower_limit_and_the_coarser_step_hold() -> None:
    near = replace(
        fake_spec(4, 3, set_volts_max=2.0, width_min=1e-7),
        name="near", volts_lsb=1e-3, adc_bits=12, supports=frozenset({"vmm"}), vmm_ranges=(1e-4, 1e-3),
        bad_cells=((1, 2),),
    )  # fmt: skip
    far = replace(
        fake_spec(5, 2, reset_volts_max=1.5), name="far", supports=frozenset({"vmm", "sample"}), vmm_ranges=(1e-3, 1e-2)
    )
    both = joined_spec([near, far], "both")
    assert (both.limits.set_volts_max, both.limits.reset_volts_max, both.limits.width_min) == (2.0, 1.5, 1e-7)
    assert (both.volts_lsb, both.adc_bits) == (1e-3, 12)
    assert both.supports == {"vmm"}
    assert both.vmm_ranges == (1e-3,)
    assert both.bad_cells == ((1, 2),)
    assert joined_spec([far, near], "both").bad_cells == ((6, 4),)
    with pytest.raises(RefusedError, match=r"pulse_volts 3 V .* limit 2 V \(set_volts_max\).*set by test"):
        both.limits.check("pulse_volts", 3.0, channel="here")


def test_time_passes_on_all_boards(array: JoinedArrays) -> None:
    left, right = array.boards
    start = array.clock.now()
    left.ability(Sweeps).sweep(0, 0, [0.1] * 100, compliance=1e-4, dwell=0.01)
    assert array.clock.now() - start == pytest.approx(1.0, rel=0.1)
    assert right.clock.now() == pytest.approx(left.clock.now(), rel=1e-6)
    array.clock.wait(5.0)
    assert right.clock.now() == pytest.approx(left.clock.now(), rel=1e-6)
    assert array.clock.now() - start == pytest.approx(6.0, rel=0.1)


def test_both_boards_measure_themselves(array: Any) -> None:
    found = array.diagnose()
    assert found.open >= 1e6
    assert found.reference == pytest.approx(found.reference_nominal, rel=0.01)


# -- stations ----------------------------------------------------------------------------------------------------------


def test_every_chip_keeps_its_own_account(bench: Any) -> None:
    set_all(bench.array)
    bench.array.pulse(PulseMap(Block(20, 1, 15, 1), -1.7, 500e-9, 5.0, 4))
    wear = bench.wear
    assert [ledger.chip for ledger in wear.ledgers] == ["left", "right"]
    assert wear.maps()["pulses"][20, 15] == 5
    assert wear.maps()["pulses"].sum() == 16 * 12 + 20 * 10 + 4
    told = wear.summary()
    assert (told["cells"], told["cells_used"], told["set_pulses_total"], told["reset_pulses_total"]) == (
        392,
        392,
        392,
        4,
    )
    assert (told["pulses_max"], told["rows"], told["chip"]) == (5, 36, "left + right")
    assert wear.remaining(bench.array.spec.limits)[0, 0] > 0
    assert bench.chip.id == "left + right"


def test_both_boards_are_left_safe(tmp_path: Path) -> None:
    with open_bench(write_two_boards(tmp_path, "gate_voltage_1t1r")) as bench:
        bench.array.read(bench.array.spec.whole)
    assert {step.instrument for step in bench.ending} == {"left", "right"}
    assert all(step.confirmed for step in bench.ending)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("array: [left, right]", "array: [left, rihgt]", "unknown instrument 'rihgt'.*did you mean 'right'"),
        ("array: [left, right]", "array: [left, left]", "names left twice"),
        ("array: [left, right]", "array: [left]", "lists 1 board: list at least two"),
        ("array: [left, right]", "array: left", "lists 2 chips and xbarlab.array no boards"),
        (", right/ideal.chip.yaml]", "]", "list one chip file for each of left, right"),
        ("right/ideal.chip.yaml", "left/ideal.chip.yaml", "chip left would be on two boards"),
    ],
)
def test_stations_that_name_boards_wrongly(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = write_two_boards(tmp_path, "gate_voltage_1t1r")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(RefusedError, match=words):
        open_bench(path)


def test_the_shipped_station_of_two_boards() -> None:
    with open_bench("mock_two_boards", seed=1) as bench:
        spec = bench.array.spec
        assert (spec.rows, spec.cols, len(spec.parts)) == (256, 128, 2)
        told = [identity.simulation for identity in bench.identities.values()]
        assert told[0] != told[1]  # two chips, not the same one twice
        assert bench.array.read(Block(120, 16, 60, 8)).conductance.shape == (16, 8)


def test_the_yield_is_of_the_cells_that_there_are() -> None:
    with open_bench("mock_two_boards", seed=1) as bench:
        result = yield_map(bench.array, YieldMapPlan(cells="120:136,60:68", average=1))
        there = bench.array.spec.cells_mask(result.block)
        assert there.sum() == 64
        assert set(result.categories[~there]) == {"no cell"}
        assert result.metrics()["yield_fraction"] == result.healthy.sum() / 64 > 0.5
        assert f"of {there.sum()} cells switch" in repr(result)
        assert result.section().tables[0][1]["cells"].sum() == 64


# -- floor plans -------------------------------------------------------------------------------------------------------


def plan(*layers: LayerRequest, **more: Any) -> FloorPlan:
    return plan_floor(36, 22, layers, parts=PARTS, **more)


def test_pieces_and_copies_go_to_different_boards_and_are_driven_at_once() -> None:
    cut = plan(LayerRequest("w", 18, 8))
    assert sorted(cut.board_of(tile) for tile in cut.tiles) == [0, 1]
    assert len(cut.passes("w")) == 1
    assert cut.cells == 2 * 18 * 8
    there = fake_spec(36, 22)
    there = replace(there, parts=PARTS).healthy_mask(there.whole)
    assert there[cut.used].all()
    copies = plan(LayerRequest("w", 4, 6, copies_across=2))
    assert sorted(copies.board_of(tile) for tile in copies.tiles) == [0, 1]
    assert len(copies.passes("w")) == 1
    assert "(board 2)" in str(copies)
    assert "16 × 12 + 20 × 10 cells" in str(copies)


def test_small_layers_fill_one_board_and_then_the_next() -> None:
    placed = plan(*(LayerRequest(name, 6, 10) for name in "abc"))
    assert [(tile.layer, placed.board_of(tile)) for tile in placed.tiles[:2]] == [("a", 0), ("b", 1)]
    # The third finds no rectangle of its own and takes what is left of both.
    assert {placed.board_of(tile) for tile in placed.of("c")} == {0, 1}
    assert placed.cells == 2 * 3 * 60


def test_pieces_for_the_larger_board_are_made_smaller_where_they_do_not_fit() -> None:
    # Ten inputs would be the larger board's; both pieces of such a layer do not go there.
    cut = plan(LayerRequest("w", 16, 10))
    assert sorted(cut.board_of(tile) for tile in cut.tiles) == [0, 1]
    assert max(tile.inputs.stop - tile.inputs.start for tile in cut.tiles) == 8


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([LayerRequest("big", 40, 10)], r"layer 'big' needs .* usable cells are free.*16 × 12 \+ 20 × 10 cells"),
        ([LayerRequest("a", 4, 4, row=12, col=0)], "goes beyond any one board"),
        ([LayerRequest("a", 4, 4, row=0, col=14)], "goes beyond any one board"),
        ([LayerRequest("a", 1, 1, copies_down=11)], "needs 22 rows for one input and there are 20"),
    ],
)
def test_what_fits_on_no_board_is_refused_with_the_plan(layers: list[LayerRequest], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        plan(*layers)


def test_a_place_on_the_second_board_can_be_asked_for() -> None:
    (tile,) = plan(LayerRequest("a", 4, 4, row=16, col=12)).tiles
    assert (tile.rows[0], tile.cols[0]) == (16, 12)
    rows = [n for n in range(36) if n not in {3, 17}]
    (tile,) = plan(LayerRequest("a", 4, 4, row=15, col=12), good_rows=rows).tiles
    assert tile.rows.tolist() == [16, 18, 19, 20, 21, 22, 23, 24]


def test_good_lines_are_found_board_by_board() -> None:
    healthy = replace(fake_spec(36, 22), parts=PARTS).healthy_mask(Block(0, 36, 0, 22))
    healthy[2, :] = False
    healthy[:, 20] = False
    rows, cols = good_lines(healthy, bad_share=0.0, parts=PARTS)
    assert rows == [n for n in range(36) if n != 2]
    assert cols == [n for n in range(22) if n != 20]
    shorted = np.zeros_like(healthy)
    shorted[30, 15] = True
    assert 30 not in good_lines(healthy, shorted=shorted, parts=PARTS)[0]


def test_the_floor_plan_shows_the_boards() -> None:
    from xbarlab.analysis.networks.training import floor_plan_figure

    placed = plan(LayerRequest("w", 18, 8))
    boards = [(part.row0, part.nrows, part.col0, part.ncols) for part in placed.parts]
    figure = floor_plan_figure(placed.layer_map(), ["w"], boards=boards)
    assert [text.get_text() for text in figure.axes[0].texts] == ["board 1", "board 2"]
    drawn = figure.axes[0].images[0].get_array()
    assert drawn is not None
    assert drawn[0, 21].max() < 0.9  # nowhere
    assert drawn[35, 21].min() > 0.9  # free


# -- training ----------------------------------------------------------------------------------------------------------


def weights_on(array: JoinedArrays, *layers: LayerRequest) -> ArrayWeights:
    weights = ArrayWeights(array, plan(*layers))
    TwoPulse(start_spread=0.2).start(weights, np.random.default_rng(0))
    weights.read()
    return weights


@pytest.mark.parametrize(
    "layer",
    [
        LayerRequest("w", 18, 8),
        LayerRequest("w", 16, 8, "stacked"),
        LayerRequest("w", 30, 4, "columns"),
        LayerRequest("w", 6, 20),
        LayerRequest("w", 4, 6, copies_across=2),
    ],
    ids=["inputs", "stacked", "columns", "outputs", "copies"],
)
def test_a_layer_over_two_boards_multiplies_and_differentiates_like_torch(
    array: JoinedArrays, layer: LayerRequest
) -> None:
    torch = pytest.importorskip("torch")
    from xbarlab.protocols.training.layers.array_layers import ArrayLinear

    weights = weights_on(array, layer)
    assert {weights.plan.board_of(tile) for tile in weights.plan.tiles} == {0, 1}
    linear = ArrayLinear(weights, "w", bias=False)
    linear.refresh()
    assert linear.weight.std() > 0.05
    x = torch.rand(5, layer.inputs, requires_grad=True)
    before = array.cost.transactions
    out = linear(x)
    assert array.cost.transactions - before == 2  # one for each board
    same = x.detach().requires_grad_()
    held = linear.weight.detach().clone().requires_grad_()
    wanted = same @ held
    assert torch.allclose(out, wanted, atol=0.03 * layer.inputs**0.5)
    (out * out.detach()).sum().backward()
    (wanted * out.detach()).sum().backward()
    assert torch.allclose(x.grad, same.grad, atol=1e-3)
    assert torch.allclose(linear.weight.grad, held.grad, atol=1e-3)


def test_an_update_reaches_both_boards(array: JoinedArrays) -> None:
    weights = weights_on(array, LayerRequest("w", 18, 8))
    rule = TwoPulse(start_spread=0.0, refresh=False)
    rule.start(weights, np.random.default_rng(0))
    weights.read(16)
    before, costs = weights.weights("w"), [board.cost for board in array.boards]
    change = np.random.default_rng(1).choice([-0.1, 0.1], (18, 8))
    rule.apply(weights, {"w": change}, {})
    weights.read(16)
    assert weights.weights("w") - before == pytest.approx(2 * change, abs=0.03)  # each cell moves by the change
    spent = [board.cost - cost for board, cost in zip(array.boards, costs, strict=True)]
    assert [cost.transactions for cost in spent] == [3, 3]  # RESET, SET, read
    assert sum(cost.pulses for cost in spent) == 18 * 8 * 3  # every pair has a cell that falls (2) and one that rises


def test_outer_products_reach_the_board_of_each_piece(tmp_path: Path) -> None:
    with open_bench(write_two_boards(tmp_path, "soft_bounds_1t1r", sizes=SIZES)) as bench:
        array: Any = bench.array
        for board in array.boards:
            board.update_width(200e-9)
            board.update_set_volts(1.2)
            board.update_reset_volts(1.2)
            board.update_set_gate(1.2)
            board.update_reset_gate(5.0)
            board.seed_updates(1)
        weights = ArrayWeights(array, plan(LayerRequest("w", 16, 8, "stacked")))
        rule = OuterProduct(rate=0.05, step=0.18e-6, width=200e-9)
        weights.read(64)
        old = weights.weights("w")
        rng = np.random.default_rng(3)
        x, d = (rng.uniform(-1, 1, (40, n)).astype(np.float32) for n in (16, 8))
        costs = [board.cost.transactions for board in array.boards]
        rule.apply(weights, {}, {"w": [(x, d)]})
        assert [board.cost.transactions - cost for board, cost in zip(array.boards, costs, strict=True)] == [1, 1]
        weights.read(64)
        moved, wanted = weights.weights("w") - old, -0.05 * x.T @ d
        for tile in weights.plan.tiles:
            part = tile.inputs, tile.outputs
            assert np.corrcoef(moved[part].ravel(), wanted[part].ravel())[0, 1] > 0.9
        before = array.cost.transactions
        done = array.ability(UpdatesByOuterProduct).outer_update(
            np.ones(36),
            np.ones(22),
            pulses=2,
            # a whole update, on both boards at once
        )
        assert array.cost.transactions - before == 2
        assert (done.count > 0).sum() == 16 * 12 + 20 * 10
        with pytest.raises(RefusedError, match="values are −1 to 1"):
            array.ability(UpdatesByOuterProduct).outer_update(np.full(36, 2.0), np.ones(22), pulses=1)


def test_a_plan_that_does_not_know_of_the_boards_is_refused(array: JoinedArrays) -> None:
    with pytest.raises(RefusedError, match=r"for 1 board\(s\), the array is 2"):
        ArrayWeights(array, plan_floor(36, 22, [LayerRequest("w", 2, 2)]))


def test_a_network_larger_than_a_board_learns_over_two(array: JoinedArrays) -> None:
    torch = pytest.importorskip("torch")
    from xbarlab.protocols.training.convert import convert
    from xbarlab.protocols.training.trainer import ArrayTrainer

    torch.manual_seed(0)
    model, rule = torch.nn.Sequential(torch.nn.Linear(11, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)), TwoPulse()
    y = torch.arange(90) % 3
    x = (torch.eye(3, 11)[y] - 0.3 + 0.15 * torch.randn(90, 11)).clamp(-1, 1)
    weights = convert(model, array, rule=rule).weights
    assert {weights.plan.board_of(tile) for tile in weights.plan.of("0")} == {0, 1}

    def loss(model: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    trainer = ArrayTrainer(model, weights, rule, lambda p: torch.optim.RMSprop(p, lr=0.01), loss)
    first, *_, last = (sum(trainer.epoch(x, y, batch=16, number=epoch)) for epoch in range(8))
    assert last < 0.6 * first
    assert (model(x).argmax(1) == y).float().mean() > 0.9
    array.boards[1].idle()
    assert trainer.travelled[weights.used[weights.block.slices]].min() > 0.0  # every cell of both boards took part
