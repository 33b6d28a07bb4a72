"""What the device on the probes gets from its source outside of the array's own actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...block import Block
from ...chip.unattributed import Unattributed
from ...chip.wear_summary import stays

if TYPE_CHECKING:
    from ...chip.wear_ledger import WearLedger
    from ...drivers.roles import Path
    from ...limits import Limits


class DeviceStress:
    """Counts what the driver tells, whoever asked for it; nothing while the array acts, which counts by itself.

    Where nobody has said which device is connected it goes into the account's unattributed part.

    Parameters
    ----------
    shape : (rows, cols)
    polarity : +1 or -1
        Sign of a SET.
    limits : Limits
    account, acting, connected : callables
        The chip's account; whether the array's own action asks; the cell on the probes, None where nobody knows.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, int],
        polarity: int,
        limits: Limits,
        account: Callable[[], WearLedger],
        acting: Callable[[], bool],
        connected: Callable[[], tuple[int, int] | None],
    ) -> None:
        self._shape, self._polarity, self._limits = shape, polarity, limits
        self._account, self._acting, self._connected = account, acting, connected
        self._volts = 0.0

    def level(self, volts: float) -> None:
        """Take in a level [V]."""
        before, self._volts = self._volts, volts
        if self._acting() or volts == 0.0:
            return
        cell = self._connected()
        if cell is None:
            Unattributed(self._account, self._limits).change(before, volts)
            return
        across, begun = np.zeros(self._shape), np.zeros(self._shape, dtype=np.bool_)
        across[cell], begun[cell] = self._polarity * volts, np.sign(volts) != np.sign(before)
        self._account().hold(across, begun, self._limits)

    def sweep(self, volts: NDArray[np.float64]) -> None:
        """Take in a sweep [points] [V]; the source is at 0 V after it."""
        self._volts = 0.0
        if self._acting():
            return
        cell = self._connected()
        if cell is None:
            Unattributed(self._account, self._limits).sweep(volts)
            return
        self._account().require(Block(cell[0], 1, cell[1], 1), stays(volts).size, self._limits)
        self._account().add_sweep(*cell, self._polarity * volts, self._limits)

    def pulses(self, volts: Sequence[float], count: int) -> None:
        """Take in a train of pulses [V]: a source-measure unit gives none by itself."""
        Unattributed(self._account, self._limits).pulses(volts, count)

    def ties(self, before: frozenset[Path] | None, after: frozenset[Path]) -> None:
        """Do nothing: there are no relays."""
