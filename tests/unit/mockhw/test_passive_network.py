"""The passive network against a dense reference, against Kirchhoff, and where it should be hard."""

from __future__ import annotations

import numpy as np
import pytest

from support.dense_network import RS, dense
from xbarlab.mockhw.passive_chip.drive import Drive, make_drive, tie_lines
from xbarlab.mockhw.passive_chip.factors import LEAK, thevenin_ohms
from xbarlab.mockhw.passive_chip.network import Network, make_network, solve_network

ROWS, COLS = 8, 8


class Bench:
    """A network and its drive, with what a test wants to ask of them."""

    def __init__(self, g, *, b=1.24, wire=1.0, rows=ROWS, cols=COLS):
        self.net: Network = make_network(rows, cols, wire, wire)
        self.wire = wire
        self.cells(g, b)

    def cells(self, g, b=1.24):
        self.net.bend[:] = b
        self.net.amp[:] = np.asarray(g).ravel() * 0.2 / np.sinh(0.2 * b)
        self.net.series[:] = RS
        self.net.fresh[0] = 0

    def tie(self, source, volts, *, ohms=0.0, limit=np.inf, line=0.0) -> Drive:
        lines, sources = self.net.rows + self.net.cols, len(volts)
        drive = make_drive(lines, sources, self.net.volts.size)
        drive.source[:] = source
        drive.volts[:] = volts
        drive.ohms[:] = ohms
        drive.limit[:] = limit
        drive.line_ohms[:] = line
        tie_lines(drive, self.net)
        self.net.fresh[0] = 0
        return drive

    def solve(self, drive: Drive, tolerance=1e-10):
        assert solve_network(self.net, drive, tolerance)
        return self.net.volts.reshape(self.net.rows, self.net.cols, 2)

    def imbalance(self, drive: Drive) -> float:
        """Largest current that any node or terminal has too much, worked out anew."""
        net, (rows, cols) = self.net, (self.net.rows, self.net.cols)
        v = net.volts.reshape(rows, cols, 2)
        x = net.inner.reshape(rows, cols)
        amps = net.amp.reshape(rows, cols) * np.sinh(net.bend.reshape(rows, cols) * x)
        assert np.allclose(x + RS * amps, v[..., 0] - v[..., 1], atol=1e-8)
        out = LEAK * v
        out[..., 0] += amps
        out[..., 1] -= amps
        along = np.diff(v[..., 0], axis=1) / self.wire
        out[:, :-1, 0] -= along
        out[:, 1:, 0] += along
        down = np.diff(v[..., 1], axis=0) / self.wire
        out[:-1, :, 1] -= down
        out[1:, :, 1] += down
        ends = [(i, 0, 0) for i in range(rows)] + [(rows - 1, j, 1) for j in range(cols)]
        fed = np.zeros(drive.volts.size)
        for line, at in enumerate(ends):
            s = drive.source[line]
            if s >= 0:
                shared = drive.kind[s] == 3
                current = ((drive.terminal[s] if shared else drive.volts[s]) - v[at]) / drive.tie[line]
                if not shared:
                    current = np.clip(current, -drive.limit[s], drive.limit[s])
                fed[s] += current
                out[at] -= current
        for s in np.flatnonzero(drive.kind == 3):
            offered = (drive.volts[s] - drive.terminal[s]) / max(drive.ohms[s], 1e-3)
            out = np.append(out, fed[s] - np.clip(offered, -drive.limit[s], drive.limit[s]))
        return float(np.abs(out).max())


def random_ties(rng, lines, sources):
    source = rng.integers(-1, sources, lines)
    source[rng.integers(lines)] = 0
    return source


@pytest.mark.parametrize("wire", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(8))
def test_linear_cells_agree_with_a_dense_solution(seed, wire):
    rng = np.random.default_rng(seed)
    rows, cols = [(8, 8), (3, 7), (6, 2), (1, 5), (5, 1), (1, 1), (8, 8), (8, 8)][seed]
    g = 10 ** rng.uniform(-6, -3, (rows, cols))
    bench = Bench(g, b=1e-4, wire=wire, rows=rows, cols=cols)
    source = random_ties(rng, rows + cols, 3)
    volts = rng.uniform(-2, 2, 3)
    got = bench.solve(bench.tie(source, volts, ohms=50.0, line=0.5))
    np.testing.assert_allclose(got, dense(g, source, volts, wire, 50.0, 0.5), atol=2e-8)


@pytest.mark.parametrize("seed", range(8))
def test_lines_with_leads_leaks_and_shorts_agree_with_a_dense_solution(seed):
    rng = np.random.default_rng(100 + seed)
    rows, cols = [(8, 8), (3, 7), (6, 2), (1, 5), (5, 1), (2, 2), (8, 8), (4, 8)][seed]
    g = 10 ** rng.uniform(-6, -3, (rows, cols))
    bench = Bench(g, b=1e-4, rows=rows, cols=cols)
    lead = np.where(rng.random(rows + cols) < 0.4, 10 ** rng.uniform(1, 5, rows + cols), 0.0)
    leak = np.where(rng.random((rows, cols)) < 0.3, 10 ** rng.uniform(-6, -3, (rows, cols)), 0.0)
    bridge = np.where(rng.random(rows + cols) < 0.4, 0.1, 0.0)
    bridge[[rows - 1, rows + cols - 1]] = 0.0
    bench.net.lead[:], bench.net.leak[:], bench.net.bridge[:] = lead, leak.ravel(), bridge
    source = random_ties(rng, rows + cols, 3)
    volts = rng.uniform(-2, 2, 3)
    got = bench.solve(bench.tie(source, volts, ohms=50.0, line=0.5))
    wanted = dense(g, source, volts, 1.0, 50.0, 0.5, lead=lead, leak=leak, bridge=bridge)
    np.testing.assert_allclose(got, wanted, atol=2e-8)


@pytest.mark.parametrize("wire", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(20))
def test_any_mix_of_lines_balances_and_stays_within_the_sources(seed, wire):
    rng = np.random.default_rng(100 + seed)
    bench = Bench(10 ** rng.uniform(-6, -3, (ROWS, COLS)), b=np.where(rng.random(64) < 0.3, 3.2, 1.24), wire=wire)
    ohms = np.array([0.0, 50.0, 0.0, 1000.0])
    for _ in range(5):
        volts = rng.uniform(-3, 3, 4)
        drive = bench.tie(random_ties(rng, 16, 4), volts, ohms=ohms, line=rng.uniform(0, 5, 16))
        v = bench.solve(drive)
        used = volts[np.unique(drive.source[drive.source >= 0])]
        assert bench.imbalance(drive) < 1e-9
        assert v.max() <= max(used.max(), 0.0) + 1e-6
        assert v.min() >= min(used.min(), 0.0) - 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_limits_hold_on_single_and_on_shared_lines(seed):
    rng = np.random.default_rng(200 + seed)
    bench = Bench(10 ** rng.uniform(-6, -3, (ROWS, COLS)), b=rng.choice([1.24, 3.2], 64))
    source = np.full(16, -1)
    source[: 1 + seed % 4] = 0
    source[8 : 8 + 1 + seed % 7] = 1
    limit = np.array([10 ** rng.uniform(-7, -3), np.inf])
    drive = bench.tie(source, np.array([rng.choice([-2.5, 2.5]), 0.0]), limit=limit)
    bench.solve(drive)
    assert bench.imbalance(drive) < 1e-9
    assert abs(drive.emitted[0]) <= limit[0] * (1 + 1e-6)
    assert bool(drive.limited[0]) == (abs(drive.emitted[0]) > limit[0] * (1 - 1e-6))


def test_two_current_limits_against_each_other_still_balance():
    bench = Bench(np.full((ROWS, COLS), 3e-4))
    drive = bench.tie(np.array([0] * 8 + [1] * 8), np.array([1.0, 0.0]), limit=np.array([1e-5, 3e-5]))
    bench.solve(drive)
    assert drive.emitted[0] == pytest.approx(1e-5, rel=1e-6)
    assert bench.imbalance(drive) < 1e-9


def test_a_limited_source_on_many_lines_that_lead_nowhere_delivers_nothing():
    rng = np.random.default_rng(8)
    bench = Bench(10 ** rng.uniform(-6, -3, (ROWS, COLS)))
    bench.solve(bench.tie(np.array([0] * 8 + [1] * 8), [3.0, -2.0]))
    drive = bench.tie(rng.integers(-1, 1, 16), [-3.0], limit=np.array([2.7e-6]))
    v = bench.solve(drive)
    assert bench.net.work["steps"][0] < 60
    assert not drive.limited.any()
    assert v.max() == pytest.approx(-3.0, abs=1e-6)


def test_equal_limits_that_hold_a_potential_between_them_end():
    bench = Bench(np.full((ROWS, COLS), 3e-4))
    drive = bench.tie(np.array([0] + [1] * 15), np.array([0.2, 0.0]), limit=1e-5)
    for _ in range(20):
        bench.net.work[:] = 0
        bench.net.amp[:] *= 1.001
        bench.solve(drive)
        assert bench.net.work["steps"][0] < 20
        assert drive.emitted == pytest.approx([1e-5, -1e-5], rel=1e-5)


def test_superposition_and_mirror_symmetry_of_linear_cells():
    rng = np.random.default_rng(5)
    g = 10 ** rng.uniform(-6, -3, (ROWS, COLS))
    bench = Bench(g, b=1e-4)
    source = np.array([0, 1, *[2] * 6, *[2] * 7, -1])
    parts = [bench.solve(bench.tie(source, x)).copy() for x in ([1.0, 0, 0], [0, -0.7, 0], [1.0, -0.7, 0])]
    np.testing.assert_allclose(parts[0] + parts[1], parts[2], atol=1e-8)

    # Reciprocity: current out of a grounded column for volts on a row, and the other way round.
    def through(a, b):
        ties = np.full(16, 1)
        ties[a] = 0
        ties[b] = 2
        drive = bench.tie(ties, [1.0, 0.0, 0.0])
        bench.solve(drive)
        return drive.emitted[2]

    assert through(2, 13) == pytest.approx(through(13, 2), rel=1e-6)


def test_opposite_voltages_give_opposite_currents_of_nonlinear_cells():
    rng = np.random.default_rng(6)
    bench = Bench(10 ** rng.uniform(-6, -3, (ROWS, COLS)), b=3.0)
    source = np.full(16, -1)
    source[[0, 9, 12]] = [0, 1, 2]
    up = bench.solve(bench.tie(source, [2.0, -0.5, 0.0])).copy()
    np.testing.assert_allclose(bench.solve(bench.tie(source, [-2.0, 0.5, 0.0])), -up, atol=1e-8)


@pytest.mark.parametrize("floating", [True, False])
def test_thevenin_resistance_predicts_a_changed_cell(floating):
    rng = np.random.default_rng(7)
    g = 10 ** rng.uniform(-6, -3, (ROWS, COLS))
    bench = Bench(g, b=1e-4)
    source = np.full(16, -1 if floating else 1)
    source[[3, 12]] = [0, 1]
    drive = bench.tie(source, [1.0, 0.0], ohms=50.0)
    v = bench.solve(drive)
    cell = 3 * COLS + 4
    ohms = thevenin_ohms(bench.net, drive, cell, np.zeros(128), np.zeros(2))
    open_volts = v[3, 4, 0] - v[3, 4, 1] + ohms * bench.net.amps[cell]
    g[3, 4] *= 30
    bench.cells(g, 1e-4)
    v = bench.solve(bench.tie(source, [1.0, 0.0], ohms=50.0))
    assert v[3, 4, 0] - v[3, 4, 1] == pytest.approx(open_volts - ohms * bench.net.amps[cell], abs=1e-7)


def test_a_slightly_changed_network_is_solved_without_new_factors():
    bench = Bench(np.full((ROWS, COLS), 2e-4))
    source = np.array([0] + [1] * 15)
    drive = bench.tie(source, [0.5, 0.0])
    bench.solve(drive)
    bench.net.work[:] = 0
    bench.net.amp[5] *= 1.02
    drive.volts[0] = 0.51
    bench.solve(drive, 1e-6)
    assert bench.net.work["factors"][0] == 0
    assert bench.net.work["steps"][0] <= 4
