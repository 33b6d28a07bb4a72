"""What the simulated array board can do: the numbers behind its capability record (board protocol, §5)."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

SUPPORTS: Final = ("sample", "sweep", "vmm", "reverse", "outer_update", "onboard_verify")
FEATURES: Final = ("long_counts", "outer_tiles", "products", "ramp", "saturate")
"""What the mock board has of revision 2; a board of revision 1 has none of it."""
_NEEDS: Final = {"outer_tiles": "outer_update", "products": "vmm", "ramp": "vmm", "saturate": "vmm"}
REVISIONS: Final = (1, 2)
Rounding = Literal["nearest", "stochastic"]


def supported(revision: int, lacks: Collection[str]) -> tuple[str, ...]:
    """Return what a board of ``revision`` supports that ``lacks`` some of it, and what goes with that."""
    names = SUPPORTS if revision == 1 else SUPPORTS + FEATURES
    return tuple(name for name in names if name not in lacks and _NEEDS.get(name, "") not in lacks)


@dataclass(frozen=True, slots=True)
class ConverterErrors:
    """What a converter adds: assumed, typical of a calibrated multi-channel board; no source.

    Attributes
    ----------
    noise : float [LSB]
        Standard deviation of one conversion.
    gain_spread, offset_spread : float [1], [LSB]
        Standard deviation over the channels.
    """

    noise: float = 1.0
    gain_spread: float = 5e-4
    offset_spread: float = 0.3


@dataclass(frozen=True, slots=True)
class DriverSteps:
    """What the drivers of products can give: 2ᵇ − 1 voltages over ± their range, 0 V among them.

    Attributes
    ----------
    bits : int, optional
        None: every code of the wire has a voltage of its own.
    rounding : str
        ``"nearest"``, or ``"stochastic"``: up or down at random, so that the mean is what was asked for.
    """

    bits: int | None = None
    rounding: Rounding = "nearest"


@dataclass(frozen=True, slots=True)
class RampErrors:
    """What comparing with a ramp adds: assumed, about an LSB of a linear converter of 1 mA and 14 bits; no source.

    Attributes
    ----------
    comparator_noise : float [A]
        Standard deviation of one comparison, of all clocks of a vector alike.
    comparator_offset_spread : float [A]
        Standard deviation over the columns.
    ramp_noise : float [A]
        Standard deviation of what each clock adds to the ramp, besides the noise of its cell.
    """

    comparator_noise: float = 1e-7
    comparator_offset_spread: float = 1e-7
    ramp_noise: float = 2e-8


@dataclass(frozen=True, slots=True)
class CircuitErrors:
    """What output circuits that saturate have of their own: assumed, untrimmed amplifiers; no source.

    Attributes
    ----------
    gain_spread, offset_spread : float [1]
        Standard deviation over the columns; the offset in halves of the span between a column's levels.
    sharpness : float [1]
        Exponent p of the corner, v / (1 + |v|^p)^(1/p): the larger, the sharper.
    """

    gain_spread: float = 0.02
    offset_spread: float = 0.02
    sharpness: float = 8.0


@dataclass(frozen=True, slots=True)
class BoardSpec:
    """Limits of one board.

    Every value is that of the protocol page's example record. ``disconnect_seconds``, the reference and
    ``sample_bandwidth`` [Hz] (a filter of one pole before the converter, a fifth of the largest rate) are
    assumed: no real board stands behind them.
    """

    rows: int
    cols: int
    gate_axis: str
    revision: int = 1
    supports: tuple[str, ...] = SUPPORTS
    volts_lsb: float = 5.0 / 32768
    volts_max: float = 5.0
    gate_lsb: float = 5.0 / 32768
    gate_max: float = 5.0
    tick: float = 1e-8
    width_min: float = 5e-8
    width_max: float = 1e-2
    count_max: int = 65535
    slot_overhead: float = 5e-6
    read_volts_max: float = 0.5
    read_gate: float = 5.0
    read_ranges: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3)
    read_bits: int = 16
    average_max: int = 1024
    read_slot: float = 1e-5
    rate_max: float = 1e5
    samples_max: int = 1_000_000
    sample_bandwidth: float = 2e4
    points_max: int = 10_000
    dwell_min: float = 1e-4
    dwell_max: float = 10.0
    compliance_min: float = 1e-6
    compliance_max: float = 5e-3
    vmm_volts_max: float = 0.3
    vmm_ranges: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    vmm_bits: int = 14
    converters: ConverterErrors = ConverterErrors()
    drivers: DriverSteps = DriverSteps()
    saturation: CircuitErrors = CircuitErrors()
    batch_max: int = 65536
    vmm_slot: float = 1e-6
    update_slots_max: int = 127
    long_count_max: int = 1_000_000_000
    reads_max: int = 1_000_000_000
    tiles_max: int = 1024
    tile_products_max: int = 65536
    vmm_products_max: int = 1024
    ramps_max: int = 8
    ramp_steps_max: int = 127
    ramp_slope_max: float = 10.0
    ramp_volts: float = 0.2
    ramp_clock: float = 1e-8
    ramp_errors: RampErrors = RampErrors()
    disconnect_seconds: float = 1e-5
    reference_ohm: float = 10e3

    @property
    def ticks_min(self) -> int:
        """Shortest pulse in ticks."""
        return round(self.width_min / self.tick)

    @property
    def ticks_max(self) -> int:
        """Longest pulse in ticks."""
        return round(self.width_max / self.tick)

    @property
    def vmm_code_max(self) -> int:
        """Largest input code of a vector."""
        return int(self.vmm_volts_max / self.volts_lsb * (1.0 + 1e-12))

    def missing(self, feature: str) -> str:
        """Return what to say when a command of ``feature`` comes, empty when the board has it."""
        if feature in self.supports:
            return ""
        return f"this board has no {feature}; it has {', '.join(self.supports) or 'nothing'}"

    def record(self) -> dict[str, Any]:
        """Return the capability record."""
        record: dict[str, Any] = {
            "protocol": f"xbarlab-board/{self.revision}",
            "rows": self.rows,
            "cols": self.cols,
            "cell": "1T1R",
            "gate_axis": self.gate_axis,
            "clock": "simulated",
            "dac": {
                "volts_lsb": self.volts_lsb,
                "volts_max": self.volts_max,
                "gate_lsb": self.gate_lsb,
                "gate_max": self.gate_max,
            },
            "width": {"tick": self.tick, "min": self.width_min, "max": self.width_max},
            "count_max": self.count_max,
            "slot_overhead": self.slot_overhead,
            "read": {
                "volts_max": self.read_volts_max,
                "gate_default": self.read_gate,
                "ranges": list(self.read_ranges),
                "adc_bits": self.read_bits,
                "average_max": self.average_max,
                "slot_seconds": self.read_slot,
            },
            "sample": {"rate_max": self.rate_max, "points_max": self.samples_max},
            "sweep": {
                "points_max": self.points_max,
                "dwell_min": self.dwell_min,
                "dwell_max": self.dwell_max,
                "compliance_min": self.compliance_min,
                "compliance_max": self.compliance_max,
            },
            "vmm": {
                "volts_lsb": self.volts_lsb,
                "volts_max": self.vmm_volts_max,
                "ranges": list(self.vmm_ranges),
                "adc_bits": self.vmm_bits,
                "batch_max": self.batch_max,
                "slot_seconds": self.vmm_slot,
            },
            "update": {"slots_max": self.update_slots_max},
            "schemes": ["ground"],
            "supports": list(self.supports),
        }
        if "long_counts" in self.supports:
            record["long"] = {"count_max": self.long_count_max, "reads_max": self.reads_max}
        if "outer_tiles" in self.supports:
            record["update"] |= {"tiles_max": self.tiles_max, "products_max": self.tile_products_max}
        if "products" in self.supports:
            record["vmm"]["products_max"] = self.vmm_products_max
        if "ramp" in self.supports:
            record["adc"] = {
                "ramps_max": self.ramps_max,
                "ramp_steps_max": self.ramp_steps_max,
                "ramp_slope_max": self.ramp_slope_max,
                "ramp_volts": self.ramp_volts,
                "ramp_clock_seconds": self.ramp_clock,
            }
        return record

    def block(self) -> bytes:
        """Return the capability record as a reply block."""
        return block(json.dumps(self.record()).encode())


def block(payload: bytes) -> bytes:
    """Return ``payload`` behind a definite-length block header (IEEE 488.2, 8.7.9)."""
    length = b"%d" % len(payload)
    return b"#%d%b%b" % (len(length), length, payload)
