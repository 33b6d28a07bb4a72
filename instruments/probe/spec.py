"""What a probe station is and can do, as a protocol sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..array_spec import ArraySpec

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
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
# Ranges of the 2450, from the lowest that its driver lets it choose by itself.
_RANGES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_ADC_BITS = 20  # 6½ digits
# Relays, output on and off, one message each at the usual speed of GPIB.
_SELECT_SECONDS = 0.1


def probe_spec(
    name: str,
    chip: Chip,
    limits: Limits,
    *,
    reading: float,
    point: float,
    gap: float,
    simulated: bool,
    supports: frozenset[str],
) -> ArraySpec:
    """Return the record of a probe station with ``chip`` on its matrix.

    Parameters
    ----------
    reading, point : float [s]
        Time of a reading, and the least time of a point of a sweep.
    gap : float [s]
        Rest between the pulses of a train.
    supports : names of the array's parts
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
        read_volts=min(0.2, limits.read_volts_max),
        read_gate=0.0,
        read_ranges=_RANGES,
        adc_bits=_ADC_BITS,
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
        supports=supports,
        bad_cells=chip.all_bad_cells,
        simulated=simulated,
        sweep_points_max=2500,
        sweep_dwell=(point, 10.0),
        compliance_min=1e-6,
    )
