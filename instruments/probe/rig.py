"""The instruments of a probe station and its one chip: who is tied to what, and the way to the safe state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from ...common.errors import RefusedError
from ..drivers.roles import (
    BenchInstrument,
    Digitiser,
    Path,
    PulseSource,
    SourceMeter,
    SwitchMatrix,
    require_role,
)
from ..limits import Limits
from .by_hand import ByHand
from .lines import ProbeInputs, ProbeLines
from .together import Together, make_sources_idle

if TYPE_CHECKING:
    from ..chip.chip_file import Chip


class Rig(Together):
    """Two source-measure units, a pulser and a switch matrix with a passive chip behind it, and a digitiser if any.

    Sources are at 0 V and off whenever a relay moves.

    Parameters
    ----------
    name : str
        Of the array.
    row_smu, column_smu, pulser, matrix, digitiser
        Drivers, open.
    inputs : mapping of str to int
        Matrix input of each source; see :class:`~.lines.ProbeInputs`.
    chip : Chip
        Which matrix output is which line.
    limits : Limits
        What may be applied to a cell.
    nplc : float
        Mains cycles of a reading.

    Attributes
    ----------
    lines, limits : which paths tie a cell; what may be applied.
    """

    def __init__(
        self,
        name: str,
        *,
        row_smu: SourceMeter,
        column_smu: SourceMeter,
        pulser: PulseSource,
        matrix: SwitchMatrix,
        digitiser: Digitiser | None,
        inputs: Mapping[str, int] | None,
        chip: Chip,
        limits: Limits,
        nplc: float,
    ) -> None:
        self.row_smu, self.column_smu, self.pulser, self.matrix = row_smu, column_smu, pulser, matrix
        self.digitiser = digitiser
        for role, driver, kind in (
            ("row_smu", row_smu, SourceMeter),
            ("column_smu", column_smu, SourceMeter),
            ("pulser", pulser, PulseSource),
            ("matrix", matrix, SwitchMatrix),
            ("digitiser", digitiser, Digitiser),
        ):
            if driver is not None:
                require_role(driver, kind, where=f"{role} of {name}")
        self.sources: tuple[BenchInstrument, ...] = (row_smu, column_smu, pulser)
        self.meters: tuple[BenchInstrument, ...] = () if digitiser is None else (digitiser,)
        ports = matrix.ports
        where = ProbeInputs.from_settings(
            inputs, where=f"{name}.inputs", most=ports[0], shared=getattr(digitiser, "shares_pulser_column", False)
        )
        self.lines = ProbeLines(where, chip, ports)
        if digitiser is not None and self.lines.inputs.digitiser is None:
            raise RefusedError(f"{name}.inputs: say at which matrix input the digitiser is (digitiser: <port>)")
        self.limits = limits
        super().__init__(name, (*self.sources, *self.meters, matrix), (chip.rows, chip.cols))
        # A line carries half of a cell's voltage; only reads and a floating sweep put all of it on the row. Held by the
        # drivers, nobody can put more than a cell bears between any two of the sources, by hand neither.
        row_smu.set_limits(limits)
        row_smu.halve()
        for source in (column_smu, pulser):
            source.set_limits(limits.halved())
        for smu in (row_smu, column_smu):
            smu.configure(nplc=nplc)
        # What these drivers are used for by hand is counted as well; another make's, where it tells.
        hand = ByHand(
            self.lines,
            polarity=chip.polarity,
            limits=limits,
            account=lambda: self.wear,
            acting=lambda: self.lock.is_mine,
            paths=lambda: getattr(matrix, "closed", None),
        )
        inputs_of = self.lines.inputs
        for driver, ports in (
            (row_smu, (inputs_of.row_smu,)),
            (column_smu, (inputs_of.column_smu,)),
            (pulser, (inputs_of.pulser_row, inputs_of.pulser_column)),
            (matrix, ()),
        ):
            if hasattr(driver, "stress"):
                driver.stress = hand.of(*ports)  # pyright: ignore[reportAttributeAccessIssue]
        self._tied: frozenset[Path] = frozenset()

    # -- relays and sources ------------------------------------------------------------------------------------------

    @property
    def always(self) -> tuple[BenchInstrument, ...]:
        """What takes part in every action."""
        return (self.matrix,)

    def tie(self, paths: frozenset[Path], *smus: SourceMeter) -> None:
        """Tie a cell to ``smus``, which are on at 0 V then, or to the pulser when there are none."""
        self.lock.go_on()
        if paths != self._tied:
            # Never hot: 0 V and off → open → close → on.
            for smu in (self.row_smu, self.column_smu):
                if smu.is_on:
                    smu.off()
            self._tied = frozenset()
            self.matrix.connect_only(paths)
            self._tied = paths
        for smu in smus:
            if not smu.is_on:
                smu.on(0.0, compliance=self.limits.current_max)

    def integrate(self, nplc: float) -> None:
        """Set the integration time of both units, in mains cycles."""
        for smu in (self.row_smu, self.column_smu):
            smu.integrate(nplc)

    def make_idle(self) -> None:
        """Make every instrument safe: sources before the relays they feed."""
        make_sources_idle((*self.sources, *self.meters))
        with suppress(AttributeError):
            self.matrix.idle()
        self._tied = frozenset()
