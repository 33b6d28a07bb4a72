"""The passive chip as an array: sneak paths, schemes, a compliance that the neighbours clamp, a life that goes on."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import load_profile, parse_profile
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock

G_ON, G_OFF = 1 / 1895, 1 / 12759
ROW, COL = 3, 4


@pytest.fixture
def make(raw):
    """A chip without stuck cells, on good lines without leads; ``alike``: without spread too."""

    def chip(seed=1, *, alike=False, **changes) -> PassiveChip:
        if alike:
            names = raw("tio2_passive")["parameters"]["device_spread"]
            changes |= {f"device_spread__{name}": 0.0 for name in names}
        profile = raw("tio2_passive", stuck__on_fraction=0.0, stuck__off_fraction=0.0, **changes)
        del profile["parameters"]["lines"]
        return PassiveChip(parse_profile(profile), seed=seed, clock=SimClock())

    return chip


def tied(volts, others=None, *, row=ROW, col=COL, limit=np.inf, delay=0.0, line=0.0, ohms=(0.0, 0.0)) -> Bias:
    """One row against one column, all other lines at ``others`` [V] or floating."""
    source = np.full(16, -1 if others is None else 2)
    source[[row, 8 + col]] = [0, 1]
    return Bias(
        source,
        np.full(16, float(line)),
        np.array([volts, 0.0, others or 0.0]),
        np.array([*ohms, 0.0]),
        np.array([limit, np.inf, np.inf]),
        np.array([delay, 0.0, 0.0]),
    )


def pulse(chip, volts, others, count=1, width=200e-9):
    bias = tied(volts, others)
    chip.play(bias, np.array([bias.volts]), np.array([width]), count)


def at(g):
    return np.log(g / G_OFF) / np.log(G_ON / G_OFF)


ALL_ON = np.full((8, 8), G_ON)
OFF_AMONG_ON = ALL_ON.copy()
OFF_AMONG_ON[ROW, COL] = G_OFF
ON_AMONG_OFF = np.full((8, 8), G_OFF)
ON_AMONG_OFF[ROW, COL] = G_ON


@pytest.mark.parametrize(
    ("others", "line", "percent"),
    [
        (None, "row", (318, 2157, 47)),
        (0.0, "row", (687, 4651, 103)),
        (0.0, "col", (-2.6, -2.2, -0.8)),
    ],
    ids=["floating", "grounded, sensed on the row", "grounded, sensed on the column"],
)
def test_read_error_by_scheme(make, others, line, percent):
    for g, expected in zip((ALL_ON, OFF_AMONG_ON, ON_AMONG_OFF), percent, strict=True):
        chip = make(alike=True)
        chip.assume_formed(at(g))
        amps = chip.solve(tied(0.2, others)).line_amps
        read = amps[ROW] if line == "row" else -amps[8 + COL]
        error = 100 * (read / (0.2 * chip.truth()["conductance"][ROW, COL]) - 1)
        assert error == pytest.approx(expected, rel=0.1, abs=0.6)


def test_half_a_millivolt_of_offset_on_the_sense_line(make):
    chip = make(alike=True)
    chip.assume_formed(at(OFF_AMONG_ON))

    def read(offset):
        bias = tied(0.2, 0.0)
        bias.volts[1] = offset
        return -chip.solve(bias).line_amps[8 + COL]

    assert 100 * (read(0.5e-3) / read(0.0) - 1) == pytest.approx(-14, abs=4)


def test_a_virtual_ground_of_fifty_ohms_costs_more(make):
    chip = make(alike=True)
    chip.assume_formed(at(ALL_ON))
    amps = chip.solve(tied(0.2, 0.0, ohms=(0.0, 50.0))).line_amps
    error = -amps[8 + COL] / (0.2 * chip.truth()["conductance"][0, 0]) - 1
    assert -0.35 < error < -0.12


def test_half_select_puts_half_on_row_and_column_and_nothing_elsewhere(make):
    chip = make()
    chip.assume_formed(0.5)
    volts = chip.solve(tied(1.5, 0.75)).cell_volts
    assert volts[ROW, COL] == pytest.approx(1.5, abs=0.04)
    row, column = np.delete(volts[ROW], COL), np.delete(volts[:, COL], ROW)
    assert np.abs(np.concatenate([row, column]) - 0.75).max() < 0.03
    rest = np.delete(np.delete(volts, ROW, 0), COL, 1)
    assert np.abs(rest).max() < 0.02


def test_solutions_keep_their_books(make):
    chip = make(3)
    chip.assume_formed(np.random.default_rng(1).uniform(-0.2, 1.2, (8, 8)))
    for bias in (tied(0.2), tied(1.0, 0.5, line=3.0), tied(2.0, limit=1e-4), tied(1.0, 0.0, ohms=(50.0, 75.0))):
        s = chip.solve(bias)
        assert s.line_amps.sum() == pytest.approx(0.0, abs=1e-12)
        assert s.source_amps.sum() == pytest.approx(0.0, abs=1e-11)
        assert s.cell_volts.shape == (8, 8)
        for source in range(2):
            at_line = [ROW, 8 + COL][source]
            assert s.source_volts[source] - s.line_volts[at_line] == pytest.approx(
                bias.line_ohms[at_line] * s.line_amps[at_line], abs=1e-9
            )
            if not s.limited[source]:
                drop = bias.ohms[source] * s.source_amps[source]
                assert s.source_volts[source] == pytest.approx(bias.volts[source] - drop, abs=1e-9)
    assert chip.solve(tied(2.0, limit=1e-4)).limited.tolist() == [True, False, False]
    assert chip.solve(tied(2.0, limit=1e-4)).source_amps[0] == pytest.approx(1e-4, rel=1e-6)
    idle = tied(2.0, limit=1e-4)
    idle.source[ROW] = -1
    assert not chip.solve(idle).limited.any()
    assert np.abs(chip.solve(idle).source_amps).max() < 1e-11


@pytest.mark.parametrize(("limit", "reached"), [(1e-4, 0.06), (1e-3, 0.60), (3e-3, 1.64)])
def test_neighbours_in_the_on_state_clamp_the_compliance(make, limit, reached):
    """One virgin cell among floating neighbours in the on state never sees its forming voltage."""
    chip = make(2)
    formed = np.ones((8, 8), bool)
    formed[ROW, COL] = False
    chip.assume_formed(1.0, where=formed)
    best = 0.0
    for volts in np.arange(0.5, 2.4, 0.05):
        bias = tied(float(volts), limit=limit, ohms=(20.0, 0.0))
        chip.hold(bias, 10e-3)
        best = max(best, chip.solve(bias).cell_volts[ROW, COL])
    assert best == pytest.approx(reached, rel=0.15)
    assert not chip.truth()["formed"][ROW, COL]


def test_a_virgin_cell_among_virgin_ones_forms_alone(make):
    chip = make(2)
    for volts in np.arange(1.0, 2.3, 0.02):
        chip.hold(tied(float(volts), limit=1e-4), 10e-3)
        if chip.truth()["formed"][ROW, COL]:
            break
    assert chip.truth()["formed"].sum() == 1
    assert chip.truth()["formed"][ROW, COL]


def test_only_the_selected_cell_books_pulses_and_moves_much(make):
    chip = make()
    chip.assume_formed(0.2)
    before = chip.truth()
    pulse(chip, 1.6, 0.8, 10)
    after = chip.truth()
    booked = after["pulses"] - before["pulses"]
    assert booked[ROW, COL] == 10
    assert booked.sum() == 10
    moved = np.abs(after["state"] - before["state"])
    assert moved[ROW, COL] == moved.max()
    assert np.delete(moved.ravel(), ROW * 8 + COL).max() < 0.05 * moved.max()


def test_an_overvoltage_on_one_cell_leaves_the_half_selected_whole(make):
    chip = make()
    chip.assume_formed(0.0)
    pulse(chip, 4.6, 2.3, width=1e-6)
    assert chip.truth()["stuck"][ROW, COL]
    assert chip.truth()["stuck"].sum() == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_a_saved_chip_goes_on_with_the_same_luck(make, tmp_path, seed):
    def live(chip):
        pulse(chip, 1.5, 0.75, 20)
        chip.hold(tied(1.2, limit=3e-4), 1e-3)
        pulse(chip, -1.7, -0.85, 5)
        return chip.measure(tied(0.2, 0.0)).line_amps

    chip = make(seed)
    chip.assume_formed(0.4)
    live(chip)
    chip.save(tmp_path / "chip.npz")
    expected, truth = live(chip), chip.truth()
    other = make(seed + 10)
    other.load(tmp_path / "chip.npz")
    assert other.seed == seed
    np.testing.assert_allclose(live(other), expected, rtol=1e-12, atol=1e-18)
    for name, values in other.truth().items():
        np.testing.assert_allclose(values, truth[name], rtol=1e-12, err_msg=name)


def test_same_seed_same_life_other_seed_another(make):
    def life(seed):
        chip = make(seed)
        chip.assume_formed(0.4)
        pulse(chip, 1.5, 0.75, 5)
        return chip.measure(tied(0.2, 0.0)).line_amps

    np.testing.assert_array_equal(life(4), life(4))
    assert not np.allclose(life(4), life(5), rtol=1e-3)


def test_a_file_of_another_chip_is_refused(make, tmp_path):
    chip = make()
    chip.save(tmp_path / "chip.npz")
    with np.load(tmp_path / "chip.npz") as saved:
        np.savez(tmp_path / "empty.npz", other=saved["model.s"])
        np.savez(tmp_path / "half.npz", life=saved["life"])
    with pytest.raises(ValueError, match="holds no chip"):
        chip.load(tmp_path / "empty.npz")
    with pytest.raises(
        ValueError, match=r"earlier version of this model, without model\.\w+, .* …: go on with that version"
    ):
        chip.load(tmp_path / "half.npz")


def test_the_shipped_profile_makes_a_chip_with_a_few_stuck_cells_at_most():
    profile = load_profile("tio2_passive")
    stuck = [PassiveChip(profile, seed=s, clock=SimClock()).truth()["kind"] for s in range(40)]
    assert np.mean(np.array(stuck) == 2) == pytest.approx(0.005, abs=0.004)
    assert np.mean(np.array(stuck) == 4) == pytest.approx(0.005, abs=0.004)


def test_chips_and_biases_that_do_not_fit_are_refused(make):
    with pytest.raises(ValueError, match="needs cell 'passive'"):
        PassiveChip(load_profile("ta_hfo2_1t1r"), seed=1, clock=SimClock())
    chip = make()
    good = tied(0.2)
    with pytest.raises(ValueError, match="16 lines, not 3"):
        chip.solve(Bias(np.zeros(3, np.int64), np.zeros(3), good.volts, good.ohms, good.limit, good.delay))
    with pytest.raises(ValueError, match="there are 3 sources"):
        chip.solve(Bias(np.full(16, 3), np.zeros(16), good.volts, good.ohms, good.limit, good.delay))
    with pytest.raises(ValueError, match="must be finite"):
        chip.hold(tied(float("nan")), 1.0)
    with pytest.raises(ValueError, match="time runs forward"):
        chip.hold(good, -1.0)
    with pytest.raises(ValueError, match="3 sources"):
        chip.play(good, np.zeros((2, 2)), np.array([1e-6, 1e-6]), 1)


def test_long_holds_at_zero_and_at_read_voltage_are_cheap_and_gentle(make):
    chip = make()
    chip.assume_formed(0.5)
    before = chip.truth()["conductance"]
    chip.hold(tied(0.0, 0.0), 1e6)
    np.testing.assert_array_equal(chip.truth()["conductance"], before)
    chip.hold(tied(0.2, 0.0), 100.0)
    assert np.abs(chip.truth()["conductance"] / before - 1).max() < 0.05
