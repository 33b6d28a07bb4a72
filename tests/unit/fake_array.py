"""A crossbar without physics: cells jump between two states at fixed voltages. For tests of what drives arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from xbarlab.instruments.array_spec import ArraySpec, Block
from xbarlab.instruments.capabilities import Cost, Delivered, Identity, IVTrace, PulseMap, Reading
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.limits import Limits

FORM_VOLTS, SET_VOLTS, RESET_VOLTS = 2.0, 0.8, -0.8
VIRGIN, LOW, HIGH = 1e-6, 5e-6, 100e-6


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

    def sample(self, row, col, volts, *, rate, seconds):
        raise NotImplementedError

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

    def vmm(self, volts, *, reverse=False):
        raise NotImplementedError

    def outer_update(self, x, d, *, pulses):
        raise NotImplementedError

    def program_verify(self, request):
        raise NotImplementedError

    def idle(self) -> None:
        self.idled += 1


@dataclass
class FakeBench:
    """What a protocol or the CLI sees of a bench; counts how often it was opened and closed."""

    array: FakeArray = field(default_factory=FakeArray)
    opened: int = 0
    closed: int = 0
    seeds: list[int | None] = field(default_factory=list)

    station = None
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
