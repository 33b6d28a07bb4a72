"""A probe station as a ``CrossbarArray``: two source-measure units, a two-channel pulser and a switch matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..capabilities import Delivered, Trace, Verified, VerifyRequest
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

    # -- what this bench cannot --------------------------------------------------------------------------------------

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Refuse: sampling in time is not built for this bench."""
        self._spec.require("sample", "a digitiser, or the buffered sampling of its SMU behind this method")
        raise NotImplementedError

    def vmm(self, volts: ArrayLike, *, reverse: bool = False, full_scale: float | None = None) -> NDArray[np.float32]:
        """Refuse: it takes a driver on every row and a converter on every column."""
        self._spec.require(
            "vmm", "a driver on every row and a converter on every column at once, as an array board has"
        )
        raise NotImplementedError

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int) -> Delivered:
        """Refuse: it takes a pulser on every line."""
        self._spec.require("outer_update", "a pulser on every line, as an array board has")
        raise NotImplementedError

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Refuse: nothing on this bench runs a loop by itself."""
        self._spec.require(
            "onboard_verify", "firmware that runs read-verify; the read_verify protocol does so from here"
        )
        raise NotImplementedError
