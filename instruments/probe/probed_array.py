"""A probe station as a ``CrossbarArray``: two source-measure units, a two-channel pulser and a switch matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from ...common.errors import RefusedError
from ..abilities import Parts, Samples, Staircases, Sweeps
from ..drivers.roles import (
    Digitiser,
    PulseSource,
    ReadingPulser,
    RecordingMeter,
    SourceMeter,
    SwitchMatrix,
    lacking_verbs,
    require_role,
)
from .diagnosis import ProbeDiagnosis, diagnose_lines
from .face import TogetherArray, allowed_here
from .line_drops import LineDrops
from .pulses import ProbePulses
from .reads import ProbeReads
from .rig import Rig
from .samples import ProbeMeterSamples, ProbeSamples
from .spec import probe_spec
from .staircases import ProbeStaircases
from .sweeps import ProbeSweeps

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
    from ..limits import NamedLimits


class ProbedArray(TogetherArray):
    """A passive chip on a switch matrix, one cell at a time.

    *Reads*: the row's source-measure unit (SMU) drives, the column's holds 0 V and measures, all other lines are
    grounded: only this virtual ground reads a passive cell truly. *Writes*: row at +V/2, column at −V/2, all other
    lines at 0 V between them, so that no other cell sees more than V/2. Sources are at 0 V and off whenever a relay
    moves. Whatever interrupts an action, the sources go to 0 V and off and the matrix opens before the exception
    goes on.

    Any make of instrument will do that has the verbs of its role (``drivers/roles.py``).

    Parameters
    ----------
    name : str
    row_smu, column_smu : SourceMeter
    pulser : PulseSource
    matrix : SwitchMatrix
    digitiser : Digitiser, optional
        With one, at its own matrix input, it samples cells in time; without, a column unit that records by itself.
    inputs : mapping of str to int
        Matrix input of each source; see :class:`~.lines.ProbeInputs`.
    nplc, sweep_nplc : float
        Integration time of a reading, and of a point of a sweep, in mains cycles.
    edge, gap : float [s]
        Edges of pulses; rest between pulses of a train.
    chip : Chip
        Which matrix output is which line, polarity, limits.
    limits : mapping
        Narrows further; from the station file.
    """

    ROLES: ClassVar[Mapping[str, type]] = {
        "row_smu": SourceMeter,
        "column_smu": SourceMeter,
        "pulser": PulseSource,
        "matrix": SwitchMatrix,
    }
    """What a station must name, each with the role it has, in the order of opening."""
    OPTIONAL_ROLES: ClassVar[Mapping[str, type]] = {"digitiser": Digitiser}
    """What it may name."""
    UNITS: ClassVar[Mapping[str, str]] = {"edge": "s", "gap": "s"}
    """What a station may write with its unit."""

    def __init__(
        self,
        name: str,
        *,
        row_smu: SourceMeter,
        column_smu: SourceMeter,
        pulser: PulseSource,
        matrix: SwitchMatrix,
        digitiser: Digitiser | None = None,
        inputs: Mapping[str, int] | None = None,
        nplc: float = 1.0,
        sweep_nplc: float = 0.1,
        edge: float = 10e-9,
        gap: float = 1e-6,
        chip: Chip | None = None,
        limits: NamedLimits | None = None,
    ) -> None:
        if chip is None:
            raise RefusedError(f"{name}: a probe station needs a chip file, which says what line is on which output")
        require_role(pulser, PulseSource, where=f"pulser of {name}")
        allowed = allowed_here(
            name,
            chip,
            limits,
            ("nplc", nplc, 0.01, 10.0, "cycles"),
            ("sweep_nplc", sweep_nplc, 0.01, 10.0, "cycles"),
            ("edge", edge, *pulser.edge_range, "s"),
            ("gap", gap, 1e-7, 1.0, "s"),
        )
        self._rig = rig = Rig(
            name,
            row_smu=row_smu,
            column_smu=column_smu,
            pulser=pulser,
            matrix=matrix,
            digitiser=digitiser,
            inputs=inputs,
            chip=chip,
            limits=allowed,
            nplc=nplc,
        )
        self.row_smu, self.column_smu, self.pulser, self.matrix = row_smu, column_smu, pulser, matrix
        self.digitiser = digitiser
        reading, point = (column_smu.reading_seconds(cycles) for cycles in (nplc, sweep_nplc))
        spec = probe_spec(
            name,
            chip,
            allowed,
            facts=column_smu.facts,
            reading=reading,
            point=point,
            edge=edge,
            gap=gap,
            simulated=rig.simulated,
        )
        drops = None if chip.segment_ohms is None else LineDrops(chip.segment_ohms, chip.rows, chip.cols)
        able: dict[type, object] = {Sweeps: ProbeSweeps(rig, spec, polarity=chip.polarity, nplc=sweep_nplc)}
        sampler: Digitiser | RecordingMeter | None = digitiser
        if digitiser is not None:
            able[Samples] = ProbeSamples(rig, spec, digitiser, polarity=chip.polarity)
        elif not lacking_verbs(column_smu, RecordingMeter):
            sampler = cast("RecordingMeter", column_smu)
            able[Samples] = ProbeMeterSamples(rig, spec, sampler, polarity=chip.polarity, nplc=nplc)
        if not lacking_verbs(pulser, ReadingPulser):
            reading_pulser = cast("ReadingPulser", pulser)
            able[Staircases] = ProbeStaircases(rig, spec, reading_pulser, polarity=chip.polarity, edge=edge)
        if sampler is not None:
            spec = replace(spec, sample_rate_max=sampler.rate_max, sample_points_max=sampler.points_max)
        super().__init__(
            rig,
            spec,
            reads=ProbeReads(rig, spec, polarity=chip.polarity, nplc=nplc, drops=drops),
            pulses=ProbePulses(rig, spec, polarity=chip.polarity, edge=edge, gap=gap),
            parts=Parts(name, able),
        )
        self._nplc = nplc

    def diagnose(self) -> ProbeDiagnosis:
        """Measure offset and open lines; no cell has a voltage across it."""
        rig, smu = self._rig, self.column_smu
        with rig.lock, rig.acting(smu):
            rig.integrate(self._nplc)
            return diagnose_lines(
                rig.lines, smu, lambda paths: rig.tie(paths, smu), smu_input=rig.lines.inputs.column_smu
            )
