"""What a probe station is and can do, as a protocol sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..array_spec import ArraySpec

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
    from ..drivers.roles import MeterFacts
    from ..limits import Limits

VIRTUAL_GROUND, FLOAT, ROW_SENSE, HALF = "virtual_ground", "float", "row_sense", "V/2"

_FULL = "it would put the full voltage on every other cell of the row; writes hold the other lines halfway"
SCHEME_NEEDS = {
    "V/3": "it needs two more sources, for rows at V/3 and columns at 2V/3; this bench has one pair",
    "ground": _FULL,
    VIRTUAL_GROUND: _FULL,
    ROW_SENSE: _FULL,
    HALF: "half of a read voltage on the other cells measures nothing: writes do that",
}
# Relays, output on and off, one message each at the usual speed of GPIB.
_SELECT_SECONDS = 0.1


def probe_spec(
    name: str,
    chip: Chip,
    limits: Limits,
    *,
    facts: MeterFacts,
    reading: float,
    point: float,
    edge: float,
    gap: float,
    simulated: bool,
) -> ArraySpec:
    """Return the record of a probe station with ``chip`` on its matrix.

    Parameters
    ----------
    reading, point : float [s]
        Time of a reading, and the least time of a point of a sweep.
    facts : MeterFacts
        Of the unit that measures.
    edge, gap : float [s]
        Edges of pulses; rest between the pulses of a train.
    """
    return ArraySpec(
        name=name,
        rows=chip.rows,
        cols=chip.cols,
        cell="passive",
        gate_axis=None,
        limits=limits,
        volts_lsb=1e-3,
        gate_lsb=1e-3,
        width_tick=1e-10,
        edge=edge,
        read_volts=min(0.2, limits.read_volts_max),
        read_gate=0.0,
        read_ranges=facts.ranges,
        adc_bits=facts.adc_bits,
        average_max=1000,
        slot_overhead=gap,
        read_slot_seconds=reading,
        vmm_slot_seconds=0.0,
        read_schemes=(VIRTUAL_GROUND, FLOAT, ROW_SENSE),
        write_schemes=(HALF, FLOAT),
        scheme_needs=SCHEME_NEEDS,
        slot_serves="cell",
        select_seconds=_SELECT_SECONDS,
        sweep_by_host=(HALF,),
        bad_cells=chip.all_bad_cells,
        simulated=simulated,
        sweep_points_max=facts.points_max,
        sweep_dwell=(point, 10.0),
        compliance_min=facts.compliance_min,
    )
