"""What one source-measure unit on single devices is and can do, as a protocol sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...array_spec import ArraySpec

if TYPE_CHECKING:
    from ...chip.chip_file import Chip
    from ...drivers.roles import MeterFacts
    from ...limits import Limits

DIRECT = "ground"
"""The other electrode of the device is at the source's own 0 V."""

_ALONE = "one device is on the probes at a time, and no line of another one"
SCHEME_NEEDS: dict[str, str] = dict.fromkeys(
    ("V/2", "V/3", "float", "virtual_ground", "row_sense"), f"it needs a matrix: {_ALONE}"
)
PULSER = "a pulse generator, as a probe station has (type: ProbedArray)"
# Output on and off, list and readings, at the usual speed of GPIB.
_SELECT_SECONDS = 0.1


def device_spec(
    name: str,
    chip: Chip,
    limits: Limits,
    *,
    facts: MeterFacts,
    reading: float,
    point: float,
    shortest: float,
    longest: float,
    simulated: bool,
) -> ArraySpec:
    """Return the record of a unit on the devices of ``chip``.

    Parameters
    ----------
    reading, point : float [s]
        Time of a reading, and the least time of a point of a sweep.
    facts : MeterFacts
    shortest : float [s]
        Pulse, and rest between two.
    longest : float [s]
        What a device is left alone with at most.
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
        width_tick=6e-4,  # a point takes up to 0.25 ms less than the drivers assume; the record says how long it was
        width_least=shortest,
        width_needs=PULSER,
        edge=None,
        read_volts=min(0.2, limits.read_volts_max),
        read_gate=0.0,
        read_ranges=facts.ranges,
        adc_bits=facts.adc_bits,
        average_max=1000,
        slot_overhead=shortest,
        read_slot_seconds=reading,
        vmm_slot_seconds=0.0,
        read_schemes=(DIRECT,),
        write_schemes=(DIRECT,),
        scheme_needs=SCHEME_NEEDS,
        separate=True,
        slot_serves="cell",
        select_seconds=_SELECT_SECONDS,
        bad_cells=chip.all_bad_cells,
        simulated=simulated,
        sweep_points_max=facts.points_max - 1,
        sweep_dwell=(point, 10.0),
        sweep_seconds_max=longest,
        compliance_min=facts.compliance_min,
    )
