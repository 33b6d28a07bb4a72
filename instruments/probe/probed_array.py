"""A probe station as a ``CrossbarArray``: two source-measure units, a two-channel pulser and a switch matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ..abilities import Multiplies, Parts, Samples, Sweeps
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Clock, Cost, Delivered, Kind, PulseMap, Reading
from ..chip.wear_ledger import WearLedger
from ..drivers.roles import (
    Digitiser,
    PulseSource,
    RecordingMeter,
    SourceMeter,
    SwitchMatrix,
    lacking_verbs,
    require_role,
)
from ..limits import Limits, refuse_bad_number
from ..wire.safe_state import SafeStep
from .diagnosis import ProbeDiagnosis, diagnose_lines
from .line_drops import LineDrops
from .pulses import ProbePulses
from .reads import ProbeReads
from .rig import Rig
from .samples import ProbeMeterSamples, ProbeSamples
from .spec import probe_spec
from .sweeps import ProbeSweeps

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
    from ..limits import NamedLimits


class ProbedArray:
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
        self.name = name
        if chip is None:
            raise RefusedError(f"{name}: a probe station needs a chip file, which says what line is on which output")
        chip.require_cell("passive", board=name)
        require_role(pulser, PulseSource, where=f"pulser of {name}")
        for what, value, low, high, unit in (
            ("nplc", nplc, 0.01, 10.0, "cycles"),
            ("sweep_nplc", sweep_nplc, 0.01, 10.0, "cycles"),
            ("edge", edge, *pulser.edge_range, "s"),
            ("gap", gap, 1e-7, 1.0, "s"),
        ):
            refuse_bad_number(what, value, low, high, unit, channel=name)
        allowed = Limits().narrowed(chip.limits, source=chip.source)
        if limits is not None:
            allowed = allowed.narrowed(limits, source=limits.source)
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
        self._reads = ProbeReads(rig, spec, polarity=chip.polarity, nplc=nplc, drops=drops)
        self._pulses = ProbePulses(rig, spec, polarity=chip.polarity, edge=edge, gap=gap)
        able: dict[type, object] = {Sweeps: ProbeSweeps(rig, spec, polarity=chip.polarity, nplc=sweep_nplc)}
        if digitiser is not None:
            able[Samples] = ProbeSamples(rig, spec, digitiser, polarity=chip.polarity)
        elif not lacking_verbs(column_smu, RecordingMeter):
            meter = cast("RecordingMeter", column_smu)
            able[Samples] = ProbeMeterSamples(rig, spec, meter, polarity=chip.polarity, nplc=nplc)
        self._parts = Parts(name, able)
        sampler = digitiser if digitiser is not None else column_smu
        sampling = {f"sample_{name}": getattr(sampler, name) for name in ("rate_max", "points_max") if Samples in able}
        self._spec = replace(spec, supports=self._parts.names, **sampling)
        self._nplc = nplc

    # -- about itself ------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do."""
        return self._spec

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what this bench can do besides reading and pulsing, or refuse saying what it would need."""
        return self._parts.ability(kind)

    @property
    def clock(self) -> Clock:
        """The bench's time; the instruments wait by it too."""
        return self._rig.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._rig.clock = clock

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened; ``transactions`` are the instruments' own."""
        return self._rig.cost

    @property
    def wear(self) -> WearLedger:
        """What the chip's cells have borne; a bench hands over the account of its chip."""
        return self._rig.wear

    @wear.setter
    def wear(self, wear: WearLedger) -> None:
        self._rig.wear = wear

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last :meth:`idle` came to, step by step, in the order the steps were taken."""
        return self._rig.ending

    # -- what it does ------------------------------------------------------------------------------------------------

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block cell by cell, each at 0 V and at ``volts``; see :meth:`~.reads.ProbeReads.read`."""
        return self._reads.read(cells, volts, average=average, gate=gate, scheme=scheme)

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every cell of a block its pulses, cell by cell: +V/2 on the row, −V/2 on the column."""
        return self._pulses.pulse(pulses)

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Multiply where the bench can, the short way; see :class:`~..abilities.Multiplies`."""
        return self.ability(Multiplies).vmm(volts, full_scale=full_scale)

    def idle(self) -> None:
        """Put every source at 0 V and off, then open the matrix. Safe in any state; logs what does not answer."""
        self._rig.idle()

    def declare_silence(self, seconds: float) -> None:
        """Do nothing: no instrument here has a watchdog, so sources are left at 0 V between actions."""

    def diagnose(self) -> ProbeDiagnosis:
        """Measure offset and open lines; no cell has a voltage across it."""
        rig, smu = self._rig, self.column_smu
        with rig.lock, rig.acting(smu):
            rig.integrate(self._nplc)
            return diagnose_lines(
                rig.lines, smu, lambda paths: rig.tie(paths, smu), smu_input=rig.lines.inputs.column_smu
            )
