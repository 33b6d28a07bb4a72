"""What is wrong with whole lines of a passive chip, as five measured maps of dead crossbars have it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import load_profile, parse_profile
from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.passive_chip.lines import GOOD, GRADED, LEAKY, OPEN, SHORTED
from xbarlab.mockhw.sim_clock import SimClock

KINDS = {"open": OPEN, "graded": GRADED, "leaky": LEAKY, "shorted": SHORTED}
FLOOR = 0.14e-6  # step [A] of the meter behind the measured maps
NONE = {f"lines__{kind}_fraction": 0.0 for kind in KINDS} | {"lines__lead_fraction": 0.0}


@pytest.fixture
def make(raw):
    """A chip without stuck cells that has only those line faults that are asked for; ``alike``: without spread."""

    def chip(seed=1, *, alike=True, **changes) -> PassiveChip:
        if alike:
            names = raw("tio2_passive")["parameters"]["device_spread"]
            changes |= {f"device_spread__{name}": 0.0 for name in names}
        changes = {"stuck__on_fraction": 0.0, "stuck__off_fraction": 0.0} | NONE | changes
        return PassiveChip(parse_profile(raw("tio2_passive", **changes)), seed=seed, clock=SimClock())

    return chip


def read(chip: PassiveChip, row: int, col: int, *, floating: bool = False, volts: float = 0.2) -> float:
    """Read one cell [Ω]: its row driven, sensed on its column, all other lines at 0 V or floating."""
    lines = chip.rows + chip.cols
    source = np.full(lines, -1 if floating else 2)
    source[row], source[chip.rows + col] = 0, 1
    bias = Bias(
        source, np.full(lines, 0.3), np.array([volts, 0.0, 0.0]), np.full(3, 0.05), np.full(3, np.inf), np.zeros(3)
    )
    solution = chip.solve(bias)
    assert abs(solution.line_amps.sum()) < 1e-11
    return volts / max(-float(solution.line_amps[chip.rows + col]), FLOOR)


def read_map(chip: PassiveChip, *, floating: bool = False):
    return np.array([[read(chip, row, col, floating=floating) for col in range(chip.cols)] for row in range(chip.rows)])


def explained(ohms):
    """Share of the variance of ln R that row and column effects explain."""
    y = np.log(ohms)
    rest = y - y.mean(0) - y.mean(1)[:, None] + y.mean()
    return 1.0 - rest.var() / y.var()


# What the eighty lines of the five measured maps are: 4 open, 10 with 1 to 45 kΩ in series; three maps with leads.
DEAD = {"lines__open_fraction": 4 / 80, "lines__graded_fraction": 10 / 80, "lines__lead_fraction": 0.6}


def test_rows_and_columns_explain_the_maps_of_dead_crossbars_and_not_those_of_good_ones(make):
    """0.90 to 0.998 in the five measured maps, if read between two lines with all others floating.

    Sneak paths alone make rows and columns of a good crossbar; read with the others grounded it shows its cells.
    """
    dead, good, grounded = [], [], []
    for seed in range(12):
        states = np.random.default_rng(seed).uniform(0.0, 1.0, (8, 8))
        for into, changes, floating in ((dead, DEAD, True), (good, {}, True), (grounded, {}, False)):
            chip = make(seed, alike=False, **changes)
            chip.assume_formed(states)
            into.append(explained(read_map(chip, floating=floating)))
    assert min(dead) > 0.89
    assert max(good) < 0.89
    assert max(grounded) < 0.5


def test_leads_make_resistance_u_shaped_along_rows(make):
    """Excess of the outermost columns in the measured maps: 131 to 335 Ω, the last but one 0.26 to 0.46 of it."""
    chip = make(1, lines__lead_fraction=1.0, lines__lead_ln_sd=0.0)
    chip.assume_formed(1.0)
    ohms = read_map(chip, floating=True)
    good = make(1)
    good.assume_formed(1.0)
    excess = np.median(ohms - read_map(good, floating=True), axis=0)
    assert excess[[0, 7]] - excess[3] == pytest.approx(170.0, rel=0.15)
    assert excess[[1, 6]] - excess[3] == pytest.approx(170.0 * (5 / 7) ** 3.1, rel=0.2)


@pytest.mark.parametrize("side", ["row", "col"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_does_what_it_says(make, kind, side):
    """Line 2 of either side is faulty: what its cells read, and that the others read on."""
    line = 2 if side == "row" else 10
    changes = {f"lines__{kind}_fraction": 1 / 16}
    seed = next(s for s in range(2000) if (k := make(s, **changes).lines.kind)[line] and (k != GOOD).sum() == 1)
    chip, good = make(seed, **changes), make(seed)
    assert chip.lines.kind[line] == KINDS[kind]
    for each in (chip, good):
        each.assume_formed(0.5)
    ohms, were = read_map(chip), read_map(good)
    if side == "col":
        ohms, were = ohms.T, were.T
    near = [2, 3] if kind == "shorted" else [2]
    np.testing.assert_allclose(np.delete(ohms, near, 0), np.delete(were, near, 0), rtol=0.25)
    lines, cells = chip.lines, np.s_[2, :] if side == "row" else np.s_[:, 2]
    if kind == "open":
        assert ohms[2].min() > 1e6
    elif kind == "graded":
        assert lines.lead[line] > 100.0
        if side == "row":
            # The row's other cells load what is left of the voltage.
            assert ohms[2].min() > 1.5 * were[2].max()
        else:
            # The column's other cells, grounded on their rows, take their share of the current.
            assert ohms[2].min() > 1.2 * were[2].max()
    elif kind == "leaky":
        both = 1.0 / (1.0 / were[2] + lines.leak[cells])
        np.testing.assert_allclose(ohms[2], both, rtol=0.2)
    elif side == "row":
        # Tied together at the pads, either row drives the cells of both.
        np.testing.assert_allclose(ohms[2], ohms[3], rtol=0.05)
    else:
        # Virtual grounds on both columns hide it; driving one of them moves the other.
        np.testing.assert_allclose(ohms[2], were[2], rtol=0.1)
        source = np.full(16, -1)
        source[[0, 10]] = 0, 1
        bias = Bias(source, np.zeros(16), np.array([0.0, 0.5]), np.zeros(2), np.full(2, np.inf), np.zeros(2))
        assert chip.solve(bias).line_volts[11] == pytest.approx(0.5, abs=0.02)
        assert good.solve(bias).line_volts[11] < 0.45


def test_a_profile_without_the_section_has_good_lines(raw):
    profile = raw("tio2_passive")
    del profile["parameters"]["lines"]
    lines = PassiveChip(parse_profile(profile), seed=4, clock=SimClock()).lines
    assert not lines.kind.any()
    assert not lines.lead.any()
    assert not lines.leak.any()
    assert not lines.bridge.any()


def test_the_shipped_profile_makes_a_faulty_line_in_two_hundred(raw):
    """And lines share no luck with cells: a chip whose profile has none has the same cells."""
    profile = load_profile("tio2_passive")
    chips = [PassiveChip(profile, seed=s, clock=SimClock()) for s in range(300)]
    kinds = np.array([chip.lines.kind for chip in chips])
    assert (kinds != GOOD).mean() == pytest.approx(0.005, abs=0.003)
    assert np.mean([chip.lines.lead[0] > 1.0 for chip in chips]) == pytest.approx(0.08, abs=0.05)
    bare = raw("tio2_passive")
    for section in ("fatigue", "fluctuation", "retention", "temperature", "lines"):
        del bare["parameters"][section]
    truth = PassiveChip(parse_profile(bare), seed=4, clock=SimClock()).truth()
    assert chips[4].lines.kind.any()
    for name, values in chips[4].truth().items():
        np.testing.assert_array_equal(values, truth[name], err_msg=name)


def test_fractions_beyond_one_are_refused(make):
    with pytest.raises(ValueError, match="add up to 1 at most"):
        make(1, lines__open_fraction=0.7, lines__leaky_fraction=0.5)


def test_lines_live_on_with_the_chip(make, tmp_path):
    changes = {"lines__leaky_fraction": 0.3, "lines__shorted_fraction": 0.2, "lines__lead_fraction": 1.0}
    chip, other = make(1, **changes), make(2, **changes)
    assert not np.array_equal(chip.lines.kind, other.lines.kind)
    chip.save(tmp_path / "chip.npz")
    other.load(tmp_path / "chip.npz")
    np.testing.assert_array_equal(other.lines.kind, chip.lines.kind)
    assert read(other, 1, 2) == pytest.approx(read(chip, 1, 2), rel=1e-6)


def test_a_chip_of_before_is_taken_up(make, tmp_path):
    """What an earlier version saved knew nothing of lines, traps and relaxation: its lines are good."""
    chip = make()
    file, old = tmp_path / "chip.npz", tmp_path / "old.npz"
    chip.save(file)
    new = ("lines.", "model.flicker", "model.trap", "model.t_", "model.worn")
    with np.load(file) as saved:
        arrays = {name: saved[name] for name in saved.files if not name.startswith(new)}
    np.savez(old, **arrays)
    other = make(2)
    other.load(old)
    assert not other.lines.kind.any()
    np.testing.assert_array_equal(other.truth()["formed"], chip.truth()["formed"])
    with np.load(file) as saved:
        arrays = dict(saved)
    arrays["lines.lead"] = np.zeros(3)
    np.savez(old, **arrays)
    with pytest.raises(ValueError, match=r"lines\.lead has shape \(3,\), this chip needs \(16,\)"):
        chip.load(old)
    assert json.loads(str(arrays["life"]))["format"] == 2
    assert Path(file).is_file()
