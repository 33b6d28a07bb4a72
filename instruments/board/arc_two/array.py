"""ArC TWO with a chip of up to 32×32 cells on it, passive or with transistors whose gates its selectors switch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.errors import RefusedError
from ...abilities import Multiplies, MultipliesReversed, Samples, Staircases
from ...array_spec import ArraySpec
from ...capabilities import FloatArray, Identity
from ...clock import SimulatedClock
from ...errors import InstrumentError
from ...limits import Limits, Quantity
from ...wire.wire_log import current_log
from ..own_array import OwnArray
from .calls import Calls
from .channels import Channels
from .gated_slots import gated_slots
from .gates import GATE_MOST, Gates
from .parts import PERIOD_MIN, TRAIN_POINTS, TRAIN_SECONDS, VECTORS, ArcTwoProducts, ArcTwoSamples
from .slots import GROUND, HALF, LSB, THIRD, TICK, Slot, as_given, read_level, slots
from .staircases import PIECE_SECONDS, ArcTwoStaircases
from .vendor_library import vendor_library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...block import Block
    from ...chip.chip_file import Chip
    from ...chip.requests import Look, Pulses

LIBRARY = "pyarc2"
RANGES = (0.683e-6, 93.1e-6, 12.3e-3)
"""Full scales [A] of its three amplifiers: the converter's ±10.24 V over 15 MΩ, 110 kΩ and 830 Ω."""
SETTLED_VOLTS = 0.05
"""What a line may be at [V] when it is said to be at 0 V."""
PULSES = 64
"""Pulses in one program: 26 instructions each at most, see :mod:`.parts`."""
_OVERHEAD = 30e-6
_SWITCHING = 60e-6  # of the gates' supply, up and down
_GATED_NEEDS = dict.fromkeys(
    (HALF, THIRD), "it would put part of the voltage on cells whose gates are on; the gates choose the cells here"
)
_NEEDS = {
    "float": "its drivers hold every line; a line that floats is charged by its neighbours",
    GROUND: "it would put the full voltage on every other cell of the row; writes hold the other lines at V/2 or V/3",
}


class ArcTwo(OwnArray):
    """ArC TWO as a station's array.

    Parameters
    ----------
    name : str
        What the station file calls it.
    firmware : str
        The board's firmware file, as its maker ships it; not part of this package.
    port : int
        Which board, as ``pyarc2.find_ids()`` counts them.
    library : str
        ``pyarc2``, or ``bench.yaml@xbarlab`` for a mock bench.
    chip, limits
        From the station file.

    Notes
    -----
    It cannot limit a current: sweeps with a compliance are refused, pulses with reads between are what it does.
    """

    places_lines = True

    def __init__(
        self,
        name: str,
        *,
        firmware: str = "",
        port: int = 0,
        library: str = LIBRARY,
        chip: Chip | None = None,
        limits: Mapping[str, float] | None = None,
        **qcodes: Any,
    ) -> None:
        vendor = vendor_library(library, LIBRARY, extra="arc2", who=name)
        simulation = getattr(vendor, "simulation", None)
        if simulation is None and not (firmware and Path(firmware).is_file()):
            raise RefusedError(
                f"{name}: firmware is {firmware!r}, and there is no such file: name the file that came with the board "
                "(init: {firmware: …}); it is not part of xbarlab"
            )
        self.channels = Channels(name, chip)
        self.gates = Gates(name, chip) if chip is not None and chip.cell == "1T1R" else None
        if chip is not None and self.gates is not None and "gate_max" not in {*chip.limits, *(limits or {})}:
            raise RefusedError(
                f"{chip.source} does not say gate_max, which only the chip knows: {name} opens gates to it for reads "
                f"and products (limits: {{gate_max: …}}, at most {GATE_MOST:g} V)"
            )
        most = Limits(set_volts_max=10.0, reset_volts_max=10.0, gate_max=GATE_MOST, width_min=40e-9, width_max=1e-2)
        spec = ArraySpec(
            name=name, rows=32, cols=32, cell="passive", limits=most, volts_lsb=LSB, width_tick=TICK,
            read_ranges=RANGES, vmm_ranges=RANGES, adc_bits=18, slot_overhead=_OVERHEAD + 230e-6,
            read_slot_seconds=1e-3, vmm_slot_seconds=300e-6, read_schemes=(GROUND,), write_schemes=(HALF, THIRD),
            scheme_needs=_NEEDS, sample_rate_max=1.0 / PERIOD_MIN, sample_points_max=TRAIN_POINTS,
            sample_seconds_max=TRAIN_SECONDS, simulated=simulation is not None,
        )  # fmt: skip
        if self.gates is not None:
            spec = replace(
                spec, cell="1T1R", gate_axis=self.gates.axis, gate_lsb=LSB, write_schemes=(GROUND,),
                scheme_needs={**_NEEDS, **_GATED_NEEDS}, slot_overhead=spec.slot_overhead + _SWITCHING,
            )  # fmt: skip
        products = ArcTwoProducts(self)
        parts: dict[type, object] = {
            Multiplies: products, MultipliesReversed: products, Samples: ArcTwoSamples(self)
        }  # fmt: skip
        if self.gates is None:  # half of a ramp's pulses would be on cells whose gates are on
            parts[Staircases] = ArcTwoStaircases(self)
        super().__init__(name, spec, chip=chip, limits=limits, parts=parts, **qcodes)
        allowed = self.spec.limits
        if self.gates is not None and allowed.gate_max < LSB:
            raise RefusedError(
                f"{name}: with a gate_max of {allowed.gate_max:g} V no gate opens: reads would see nothing"
            )
        if math.ceil(allowed.width_min / TICK - 1e-6) * TICK > allowed.width_max * (1.0 + 1e-9):
            raise RefusedError(
                f"{name}: no width on its grid of 10 ns is from {allowed.width_min:g} to {allowed.width_max:g} s: "
                "choose limits (width_min, width_max) with a multiple of 10 ns between them"
            )
        self.spec = replace(
            self.spec,
            read_gate=0.0 if self.gates is None else allowed.gate_max,
            read_volts=min(self.spec.read_volts, allowed.read_volts_max),
        )
        self._simulation = simulation
        if simulation is not None:
            self.clock = SimulatedClock(simulation)
        self._port, self._version = port, str(getattr(vendor, "LIBARC2_VERSION", "") or "")
        self.calls = Calls(
            name, vendor, port, str(firmware), channels=self.channels, gates=self.gates, polarity=self.polarity,
            log=current_log(),
        )  # fmt: skip

    @property
    def simulated(self) -> bool:
        """Whether a simulator stands behind the library's calls."""
        return self._simulation is not None

    @property
    def identity(self) -> Identity:
        """Who answers; the library tells no serial number, only the port."""
        if self._simulation is None:
            return Identity("ArC Instruments", "ArC TWO", f"port {self._port}", f"libarc2 {self._version}")
        told = self._simulation.info(self._port)
        return Identity(
            "ArC Instruments", "ArC TWO", self._simulation.serial(self._port), f"libarc2 {self._version}",
            simulation=told, birth=str(told["birth"]),
        )  # fmt: skip

    def get_idn(self) -> dict[str, str | None]:
        """Return who answers, as QCoDeS wants it."""
        who = self.identity
        return {"vendor": who.maker, "model": who.model, "serial": who.serial, "firmware": who.firmware}

    # --- what OwnArray asks -------------------------------------------------------------------

    def measure(self, cells: Block, look: Look) -> FloatArray:
        """Return the currents [A] of a block: row by row, all columns of it at once, every other line at 0 V."""
        if self.gates is not None:
            return self._through_gates(cells, look, self.gates)
        rows, cols = cells.slices
        highs = self.channels.cols[cols]
        places = np.array(self.channels.column_order())[cols]
        told = np.empty(cells.shape)
        for at, low in enumerate(self.channels.rows[rows]):
            self.go_on()
            turns = [self.calls.slice(low, highs, look.volts, self.spec.limits)[places] for _ in range(look.average)]
            told[at] = -np.mean(turns, axis=0)
        return told

    def _through_gates(self, cells: Block, look: Look, gates: Gates) -> FloatArray:
        """Measure with the gates of the cells on, other gates off: a program for so many rows as it may hold."""
        rows, cols = cells.slices
        all_cols, wanted = range(*cols.indices(self.spec.cols)), self.channels.cols[cols]
        turns = [row for row in range(*rows.indices(self.spec.rows)) for _ in range(look.average)]
        told: list[FloatArray] = []
        self.calls.forget()
        for first in range(0, len(turns), VECTORS):
            self.go_on()
            part = turns[first : first + VECTORS]
            self.calls.rest()
            on, driven = tuple[int, ...](), list[int]()
            for row in part:
                if on != (on := gates.of(row, all_cols)):
                    self.calls.open_gates(on, float(look.gate or 0.0), self.spec.limits)
                if driven != (now := [self.channels.rows[row]]):
                    levels = [*((line, 0.0) for line in driven), (now[0], look.volts)]
                    self.calls.drive(levels, self.spec.limits, Quantity.READ_VOLTS)
                    driven = now
                self.calls.look(wanted)
            self.calls.run()
            told.append(self.calls.picked(len(part))[:, list(wanted)])
        return -np.concatenate(told).reshape(cells.nrows, look.average, cells.ncols).mean(axis=1)

    def as_read(self, look: Look) -> Look:
        """Return a read at the nearest step of 305 µV that no limit forbids: what the cells see."""
        return replace(look, volts=read_level(look.volts, self.spec.limits))

    def as_given(self, pulses: Pulses) -> Pulses:
        """Return pulses on the nearest steps of 305 µV and 10 ns, never beyond a limit."""
        return as_given(pulses, self.spec.limits)

    def slots_of(self, pulses: Pulses) -> int:
        """Return the pulse slots of a map."""
        return sum(slot.count for slot in self._slots(pulses))

    def _slots(self, pulses: Pulses) -> Iterator[Slot]:
        if self.gates is None:
            return slots(pulses, self.channels)
        return gated_slots(pulses, self.channels, self.gates)

    def give(self, pulses: Pulses) -> None:
        """Give pulses, slot by slot, in programs that end at 0 V."""
        self.calls.begin()
        for slot in self._slots(pulses):
            seconds = 2e-9 * slot.longest + _OVERHEAD  # a pulse, and the delay behind it
            at_once = min(PULSES, max(1, int(PIECE_SECONDS / seconds) - 4))
            left = slot.count
            while left:
                self.go_on()
                now = min(left, at_once)
                self.calls.rest()
                if slot.selectors:
                    self.calls.open_gates(slot.selectors, slot.gate, self.spec.limits)
                self.calls.pulse(slot.levels, slot.nanos, self.spec.limits, count=now)
                self.calls.run()
                left -= now

    def let_go(self) -> None:
        """Soft ground, then float: every line at 0 V behind its driver, asked, then disconnected."""
        if self.calls.is_open:
            seen = self.calls.let_go(self.channels.all)
            if seen > SETTLED_VOLTS:
                raise InstrumentError(f"{self.calls.place}: a line was at {seen:.3g} V when all should be at 0 V")

    def close(self) -> None:
        """Make it safe, and let go of the board."""
        calls: Calls | None = getattr(self, "calls", None)  # QCoDeS takes an instrument's attributes away
        super().close()
        if calls is not None:
            calls.close()
