"""A probe station as a ``CrossbarArray``: two source-measure units, a two-channel pulser and a switch matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..abilities import Multiplies
from .diagnosis import ProbeDiagnosis, diagnose_lines
from .pulses import ProbePulses
from .reads import ProbeReads
from .sweeps import ProbeSweeps


class ProbedArray(ProbeReads, ProbePulses, ProbeSweeps):
    """A passive chip on a switch matrix, one cell at a time.

    *Reads*: the row's source-measure unit (SMU) drives, the column's holds 0 V and measures, all other lines are
    grounded: only this virtual ground reads a passive cell truly. *Writes*: row at +V/2, column at −V/2, all other
    lines at 0 V between them, so that no other cell sees more than V/2. Sources are at 0 V and off whenever a relay
    moves. Whatever interrupts an action, the sources go to 0 V and off and the matrix opens before the exception
    goes on.

    Parameters are those of :class:`~.probe_bench.ProbeBench`.
    """

    # -- about itself ------------------------------------------------------------------------------------------------

    def diagnose(self) -> ProbeDiagnosis:
        """Measure offset and open lines; no cell has a voltage across it."""
        smu = self.column_smu
        with self._acting(smu):
            self._integrate(self._nplc)
            return diagnose_lines(
                self._lines, smu, lambda paths: self._tie(paths, smu), smu_input=self._lines.inputs.column_smu
            )

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Multiply where the bench can, the short way; see :class:`~..abilities.Multiplies`."""
        return self.ability(Multiplies).vmm(volts, full_scale=full_scale)
