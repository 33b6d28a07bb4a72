"""The board's capability record (``docs/board-protocol.md`` §5) and what it means for a protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from ..array_spec import ArraySpec, RampSpec
from ..errors import InstrumentError, UnsupportedError
from ..limits import COUNT_MAX, Limits

LONG_COUNTS, OUTER_TILES, RAMP, SATURATE = "long_counts", "outer_tiles", "ramp", "saturate"
REVISION_1, REVISION_2 = "xbarlab-board/1", "xbarlab-board/2"
READ_VOLTS_DEFAULT = 0.2
# What the counts of revision 1 hold; those of the feature long_counts are COUNT_MAX.
_SHORT_COUNT_MAX = 65535
_CELLS: dict[str, Literal["1T1R", "passive"]] = {"1T1R": "1T1R", "1R": "passive"}


@dataclass(frozen=True, slots=True)
class BoardCapability:
    """``SYSTem:CAPability?`` in SI units; names as in the record, groups joined by ``_``.

    The members of ``long`` are 0 where the board does not list ``long_counts``, the most tiles and products of an
    update where it does not list ``outer_tiles``.
    """

    protocol: str
    rows: int
    cols: int
    cell: Literal["1T1R", "passive"]
    gate_axis: Literal["row", "col"] | None
    simulated: bool
    volts_lsb: float
    volts_max: float
    gate_lsb: float
    gate_max: float
    width_tick: float
    width_min: float
    width_max: float
    count_max: int
    slot_overhead: float
    read_volts_max: float
    read_gate_default: float
    read_ranges: tuple[float, ...]
    read_adc_bits: int
    read_average_max: int
    read_slot_seconds: float
    sample_rate_max: float
    sample_points_max: int
    sweep_points_max: int
    sweep_dwell_min: float
    sweep_dwell_max: float
    sweep_compliance_min: float
    sweep_compliance_max: float
    vmm_volts_lsb: float
    vmm_volts_max: float
    vmm_ranges: tuple[float, ...]
    vmm_batch_max: int
    vmm_slot_seconds: float
    update_slots_max: int
    update_tiles_max: int = 0
    update_products_max: int = 0
    long_count_max: int = 0
    long_reads_max: int = 0
    ramp: RampSpec | None = None
    edge: float | None = None
    schemes: tuple[str, ...] = ("ground",)
    supports: frozenset[str] = field(default_factory=frozenset[str])

    @classmethod
    def from_json(cls, text: str, *, source: str) -> BoardCapability:
        """Read the record; refuse a protocol this driver does not speak and a record with holes.

        Parameters
        ----------
        source : str
            Which board said it, for the message.
        """
        try:
            loaded: object = json.loads(text)
        except ValueError as error:
            raise InstrumentError(f"{source} gives a capability record that is not JSON: {error}") from error
        if not isinstance(loaded, dict):
            raise InstrumentError(f"{source} gives a capability record that is not a JSON object")
        record = cast("dict[str, object]", loaded)
        protocol = record.get("protocol")
        if protocol not in {REVISION_1, REVISION_2}:
            raise UnsupportedError(
                f"{source} speaks protocol {protocol!r}; this driver speaks {REVISION_1!r} and {REVISION_2!r}: "
                "update xbarlab or the board's firmware, whichever is older"
            )
        try:
            return cls._read(record)
        except (KeyError, TypeError, ValueError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise InstrumentError(
                f"{source} gives a capability record that cannot be used: {what}; see docs/board-protocol.md §5"
            ) from error

    @classmethod
    def _read(cls, record: dict[str, object]) -> BoardCapability:
        def group(name: str, *, ability: str | None = None) -> Mapping[str, float]:
            if ability is not None and ability not in supports and name not in record:
                return _Absent()
            return cast("Mapping[str, float]", record[name])

        def ranges(values: object) -> tuple[float, ...]:
            return tuple(sorted(float(value) for value in cast("list[float]", values)))

        supports = frozenset(cast("list[str]", record["supports"]))
        cell = _CELLS[cast("str", record["cell"])]
        gated = cell == "1T1R"
        dac, width, read = group("dac"), group("width"), group("read")
        sample, sweep = group("sample", ability="sample"), group("sweep", ability="sweep")
        # Features came with revision 2: on a board of revision 1 they are names that are not known.
        second = record["protocol"] == REVISION_2
        long = group("long") if second and LONG_COUNTS in supports else _Absent()
        vmm, update = group("vmm", ability="vmm"), group("update", ability="outer_update")
        adc = group("adc") if second and RAMP in supports else None
        tiles = update if second and OUTER_TILES in supports else _Absent()
        axis = cast("Literal['row', 'col']", record["gate_axis"]) if gated else None
        if axis not in {"row", "col", None}:
            raise ValueError(f"gate_axis is {axis!r}, neither 'row' nor 'col'")
        edge = float(width["edge"]) if "edge" in width else None
        if edge is not None and not 0.0 < edge < 1.0:
            raise ValueError(f"width.edge is {edge:g} s, not a time greater than 0")
        return cls(
            protocol=str(record["protocol"]),
            rows=int(cast("int", record["rows"])),
            cols=int(cast("int", record["cols"])),
            cell=cell,
            gate_axis=axis,
            simulated=record["clock"] == "simulated",
            volts_lsb=float(dac["volts_lsb"]),
            volts_max=float(dac["volts_max"]),
            gate_lsb=float(dac["gate_lsb"]) if gated else 1.0,
            gate_max=float(dac["gate_max"]) if gated else 0.0,
            width_tick=float(width["tick"]),
            width_min=float(width["min"]),
            width_max=float(width["max"]),
            count_max=int(cast("int", record["count_max"])),
            slot_overhead=float(cast("float", record["slot_overhead"])),
            read_volts_max=float(read["volts_max"]),
            read_gate_default=float(read["gate_default"]) if gated else 0.0,
            read_ranges=ranges(read["ranges"]),
            read_adc_bits=int(read["adc_bits"]),
            read_average_max=int(read["average_max"]),
            read_slot_seconds=float(read["slot_seconds"]),
            sample_rate_max=float(sample["rate_max"]),
            sample_points_max=int(sample["points_max"]),
            sweep_points_max=int(sweep["points_max"]),
            sweep_dwell_min=float(sweep["dwell_min"]),
            sweep_dwell_max=float(sweep["dwell_max"]),
            sweep_compliance_min=float(sweep["compliance_min"]),
            sweep_compliance_max=float(sweep["compliance_max"]),
            vmm_volts_lsb=float(vmm["volts_lsb"]),
            vmm_volts_max=float(vmm["volts_max"]),
            vmm_ranges=ranges(vmm["ranges"]) if "vmm" in record else (),
            vmm_batch_max=int(vmm["batch_max"]),
            vmm_slot_seconds=float(vmm["slot_seconds"]),
            update_slots_max=int(update["slots_max"]),
            update_tiles_max=int(tiles["tiles_max"]),
            update_products_max=int(tiles["products_max"]),
            long_count_max=int(long["count_max"]),
            long_reads_max=int(long["reads_max"]),
            ramp=None if adc is None else _ramp(adc),
            edge=edge,
            schemes=tuple(cast("list[str]", record["schemes"])),
            supports=supports,
        )

    @property
    def short_count_max(self) -> int:
        """Largest count of the commands that every board has."""
        return min(self.count_max, _SHORT_COUNT_MAX)

    def limits(self) -> Limits:
        """Return the driver's limits, narrowed to what this board can do."""
        said = "the board (its capability record)"
        if self.long_count_max > self.short_count_max:
            own = Limits.widest().narrowed({"count_max": min(self.long_count_max, COUNT_MAX)}, source=said)
        else:
            lacks = f"{said}; more pulses in one map need a board that lists {LONG_COUNTS} (board-protocol §10.5)"
            own = Limits.widest().narrowed({"count_max": self.short_count_max}, source=lacks)
        able = {
            "set_volts_max": self.volts_max,
            "reset_volts_max": self.volts_max,
            "read_volts_max": self.read_volts_max,
            "vmm_volts_max": self.vmm_volts_max,
            "gate_max": self.gate_max,
            "current_max": self.sweep_compliance_max,
            "width_max": self.width_max,
        }
        narrower = {name: value for name, value in able.items() if value < getattr(own, name)}
        if self.width_min > own.width_min:
            narrower["width_min"] = self.width_min
        return own.narrowed(narrower, source=said)

    def abilities(self, polarity: int) -> frozenset[str]:
        """Return what a driver offers of what this board says it can do.

        Parameters
        ----------
        polarity : +1 or -1
            −1: SET needs a negative cell voltage. The board's own read-verify and its ramps, which only rise, cannot
            be turned around, so they are not offered then.
        """
        lacks = set[str]() if polarity > 0 else {"onboard_verify", RAMP}
        if self.protocol != REVISION_2:
            lacks |= {RAMP, SATURATE}  # names that revision 1 does not know
        if "vmm" not in self.supports:
            lacks |= {"reverse", RAMP, SATURATE}  # the record's group vmm says what they may be given
        return self.supports - lacks

    def spec(
        self,
        name: str,
        limits: Limits,
        *,
        shape: tuple[int, int] | None = None,
        bad_cells: tuple[tuple[int, int], ...] = (),
        supports: frozenset[str] = frozenset(),
    ) -> ArraySpec:
        """Return what a protocol sees.

        Parameters
        ----------
        shape : (rows, cols)
            Of the chip, when it is smaller than the board.
        supports : names of the parts made from :meth:`abilities`
        """
        rows, cols = shape or (self.rows, self.cols)
        return ArraySpec(
            name=name,
            rows=rows,
            cols=cols,
            cell=self.cell,
            gate_axis=self.gate_axis,
            limits=limits,
            volts_lsb=self.volts_lsb,
            gate_lsb=self.gate_lsb,
            width_tick=self.width_tick,
            edge=self.edge,
            read_volts=min(READ_VOLTS_DEFAULT, limits.read_volts_max),
            read_gate=min(self.read_gate_default, limits.gate_max),
            read_ranges=self.read_ranges,
            adc_bits=self.read_adc_bits,
            average_max=self.read_average_max,
            slot_overhead=self.slot_overhead,
            read_slot_seconds=self.read_slot_seconds,
            vmm_slot_seconds=self.vmm_slot_seconds,
            vmm_ranges=self.vmm_ranges,
            read_schemes=self.schemes,
            write_schemes=self.schemes,
            supports=supports,
            bad_cells=bad_cells,
            simulated=self.simulated,
            sweep_points_max=self.sweep_points_max,
            sweep_dwell=(self.sweep_dwell_min, self.sweep_dwell_max),
            compliance_min=self.sweep_compliance_min,
            sample_rate_max=self.sample_rate_max,
            sample_points_max=self.sample_points_max,
            ramp=self.ramp if RAMP in supports else None,
        )


def _ramp(adc: Mapping[str, float]) -> RampSpec:
    return RampSpec(
        ramps=int(adc["ramps_max"]),
        steps=int(adc["ramp_steps_max"]),
        slope=float(adc["ramp_slope_max"]),
        volts=float(adc["ramp_volts"]),
        clock=float(adc["ramp_clock_seconds"]),
    )


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The board about itself: ``offset`` [A], reference resistor measured and nominal [Ω], ``open`` lines [Ω]."""

    offset: float
    reference: float
    reference_nominal: float
    open: float


class _Absent(dict[str, float]):
    """The group of an ability the board lacks: every number is zero, nothing passes."""

    def __missing__(self, key: str) -> float:
        return 0.0
