"""A crossbar without physics: cells jump between two states at fixed voltages. For tests of what drives arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np

from xbarlab.instruments.abilities import Parts
from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE, Cost, Delivered, Identity, IVTrace, PulseMap, Reading
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.limits import Limits

FORM_VOLTS, SET_VOLTS, RESET_VOLTS = 2.0, 0.8, -0.8
VIRGIN, LOW, HIGH = 1e-6, 5e-6, 100e-6
SNEAK = {"float": 2.0, "row_sense": 5.0}  # how much of the mean neighbour a scheme adds to what it reads


class FakeClock:
    """Time that passes when waited for."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


def fake_spec(rows: int = 8, cols: int = 6, **limits: float) -> ArraySpec:
    return ArraySpec(
        name="fake",
        rows=rows,
        cols=cols,
        cell="1T1R",
        gate_axis="col",
        limits=Limits().narrowed(limits, source="test"),
        volts_lsb=1e-4,
        gate_lsb=1e-4,
        width_tick=1e-8,
        read_volts=0.2,
        read_gate=5.0,
        read_ranges=(1e-6, 1e-5, 1e-4, 1e-3),
        adc_bits=16,
        average_max=1024,
        slot_overhead=5e-6,
        read_slot_seconds=1e-5,
        vmm_slot_seconds=1e-6,
        supports=frozenset({"sweep"}),
        simulated=True,
    )


def gateless_spec(rows: int = 8, cols: int = 6, **limits: float) -> ArraySpec:
    """Return the spec of cells without transistors, each connected before it is read or pulsed."""
    return replace(
        fake_spec(rows, cols, **limits),
        cell="passive",
        gate_axis=None,
        read_gate=0.0,
        read_schemes=("virtual_ground", "float", "row_sense"),
        write_schemes=("V/2", "float"),
        scheme_needs={"V/3": "V/3 needs a third source"},
        slot_serves="cell",
        select_seconds=0.02,
        read_slot_seconds=0.02,
        sweep_by_host=("V/2",),
    )


class FakeArray:
    """Implements ``CrossbarArray``.

    ``fail_at``: the action (counted from 1) at which ``error`` is raised instead.
    """

    def __init__(self, *, fail_at: int | None = None, error: BaseException | None = None, **limits: float) -> None:
        self.spec = fake_spec(**limits)
        self.clock = FakeClock()
        self.cost = Cost()
        self.g = np.full((self.spec.rows, self.spec.cols), VIRGIN)
        self.actions: list[str] = []
        self.idled = 0
        self._fail_at, self._error = fail_at, error or InstrumentError("the board reported -365, watchdog expired")

    def ability(self, kind):
        return Parts.of(self.spec.name, self, self.spec.supports).ability(kind)

    def _act(self, name: str, slots: int, pulses: int = 0) -> None:
        self.actions.append(name)
        if self._fail_at == len(self.actions):
            raise self._error
        self.cost += Cost(1, slots, pulses, slots * 1e-5)

    def read(self, cells, volts=None, *, average=1, gate=None, scheme=None) -> Reading:
        volts = self.spec.read_volts if volts is None else volts
        self.spec.limits.check("read_volts", volts, channel="fake.read")
        self._act("read", cells.nrows * average)
        g = self.g[cells.slices].copy()
        flags = np.zeros(cells.shape, dtype=np.uint8)
        return Reading(cells, volts, g * volts, g, np.full(cells.shape, 2e-8), flags)

    def pulse(self, pulses: PulseMap) -> Delivered:
        block = pulses.block
        volts, width, gate, count = (
            np.broadcast_to(np.asarray(part), block.shape)
            for part in (pulses.volts, pulses.width, pulses.gate, pulses.count)
        )
        self._act("pulse", block.nrows, int(count.sum()))
        self._switch(block, np.where(count > 0, volts, 0.0))
        return Delivered(block, volts, width, gate, count.astype(np.int64), block.nrows, int(count.sum()), 1e-5)

    def _switch(self, block: Block, volts) -> None:
        g = self.g[block.slices]
        formed = g > VIRGIN
        g[(volts >= FORM_VOLTS) | (formed & (volts >= SET_VOLTS))] = HIGH
        g[(g > VIRGIN) & (volts <= RESET_VOLTS)] = LOW

    def sweep(self, row, col, volts, *, compliance, dwell, gate=None, scheme=None) -> IVTrace:
        points = np.asarray(volts, dtype=np.float64)
        self._act("sweep", points.size)
        current = np.empty_like(points)
        cell = Block(row, 1, col, 1)
        for index, value in enumerate(points):
            self._switch(cell, np.array([[value]]))
            current[index] = np.clip(self.g[row, col] * value, -compliance, compliance)
        flags = np.zeros(points.size, dtype=np.uint8)
        return IVTrace(row, col, points, np.zeros_like(points), current, flags, compliance, dwell)

    def idle(self) -> None:
        self.idled += 1


class GatelessArray(FakeArray):
    """Cells without transistors: no gates are taken, a formed neighbour that is on takes the current of a forming ramp.

    ``disturb`` is the relative change of a half-selected cell per pulse; ``spread`` the d2d spread of the forming
    voltage [V].
    """

    def __init__(self, *, disturb: float = 0.0, spread: float = 0.0, **options) -> None:
        super().__init__(**options)
        self.spec = gateless_spec()
        self.disturb = disturb
        rng = np.random.default_rng(1)
        self.form_volts = FORM_VOLTS + spread * rng.standard_normal(self.g.shape)
        self.g[:] = 0.5 * VIRGIN
        self.schemes: list[str | None] = []

    def read(self, cells, volts=None, *, average=1, gate=None, scheme=None) -> Reading:
        assert gate is None
        self.schemes.append(self.spec.require_scheme(scheme, writing=False))
        reading = super().read(cells, volts, average=average)
        sneak = SNEAK.get(self.schemes[-1], 0.0) * self.g.mean()
        return replace(
            reading, conductance=reading.conductance + sneak, current=reading.current + sneak * reading.volts
        )

    def pulse(self, pulses: PulseMap) -> Delivered:
        self.schemes.append(self.spec.require_scheme(pulses.scheme, writing=True))
        block = pulses.block
        volts, count, gate = (
            np.broadcast_to(np.asarray(a), block.shape) for a in (pulses.volts, pulses.count, pulses.gate)
        )
        assert not gate.any(), "there are no gates"
        for i, j in np.argwhere(count > 0):
            change = 1.0 + self.disturb * np.sign(volts[i, j]) * count[i, j]
            row, col = i + block.row0, j + block.col0
            kept = self.g[row, col]
            self.g[row, :] *= change
            self.g[:, col] *= change
            self.g[row, col] = kept
        return super().pulse(pulses)

    def sweep(self, row, col, volts, *, compliance, dwell, gate=None, scheme=None) -> IVTrace:
        assert gate is None, "there are no gates"
        self.schemes.append(self.spec.require_scheme(scheme, writing=True))
        mates = np.delete(self.g[:, col], row).max(), np.delete(self.g[row, :], col).max()
        wanted = np.asarray(volts, dtype=np.float64)
        if self.g[row, col] < VIRGIN and max(mates) > 0.5 * HIGH:
            # What the source gives goes through the neighbours; the cell never sees the voltage.
            self._act("sweep", wanted.size)
            current = np.sign(wanted) * np.minimum(np.abs(max(mates) * wanted), compliance)
            flags = np.full(wanted.size, FLAG_COMPLIANCE, dtype=np.uint8)
            return IVTrace(row, col, wanted, np.zeros_like(wanted), current, flags, compliance, dwell)
        trace = super().sweep(row, col, wanted, compliance=compliance, dwell=dwell)
        limited = np.abs(trace.current) >= compliance
        trace.flags[limited] = FLAG_COMPLIANCE
        # A source in compliance reads back the voltage that is left.
        return replace(trace, volts=np.where(limited, compliance / self.g[row, col], trace.volts))

    def _switch(self, block: Block, volts) -> None:
        g = self.g[block.slices]
        formed = g > 2 * VIRGIN
        g[(volts >= self.form_volts[block.slices]) | (formed & (volts >= SET_VOLTS))] = HIGH
        g[(g > 2 * VIRGIN) & (volts <= RESET_VOLTS)] = LOW


@dataclass
class FakeBench:
    """What a protocol or the CLI sees of a bench; counts how often it was opened and closed."""

    array: FakeArray = field(default_factory=FakeArray)
    opened: int = 0
    closed: int = 0
    seeds: list[int | None] = field(default_factory=list)

    station = None
    wear = None
    thermometer = None
    file = None
    ending = ()
    chip = SimpleNamespace(id="fake-chip")

    @property
    def clock(self) -> FakeClock:
        return self.array.clock

    @property
    def identities(self) -> dict[str, Identity]:
        return {"board": Identity("FAKE", "ARRAY", "0001", "1.0", {"profile": "fake", "seed": 4})}

    def __enter__(self) -> FakeBench:
        self.opened += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.closed += 1
        self.array.idle()

    def opener(self):
        """Return a stand-in for ``open_bench``."""

        def open_bench(name, *, seed=None) -> FakeBench:
            self.seeds.append(seed)
            return self

        return open_bench
