"""What can go wrong, by who says so: we refuse, the instrument reports, or the connection is lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..common.errors import RefusedError, XbarlabError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from .block import Block


class UnsupportedError(RefusedError):
    """This array cannot do what was asked; the message says what would be needed."""


class InstrumentError(XbarlabError):
    """The instrument itself reported an error.

    Attributes
    ----------
    entries : tuple of (number, text)
        The drained error queue, oldest first.
    """

    def __init__(self, message: str, entries: Iterable[tuple[int, str]] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.entries = tuple(entries)


class GarbledReplyError(InstrumentError):
    """A reply cannot be what was asked for; whether the command was carried out is not known."""


class PowerLostError(InstrumentError):
    """The instrument has been off in the meantime: its settings are those of power-on."""


class ConnectionLostError(XbarlabError):
    """The instrument did not answer; the message names the address and what was tried."""


class ReplyLostError(ConnectionLostError):
    """One reply was lost or came late; the instrument answers again since."""


class UnconfirmedError(ConnectionLostError):
    """Pulses were sent and not confirmed: they have been given, in part or not at all.

    Attributes
    ----------
    block : Block
        The cells, to be read before anything else is done to them.
    count : int array [rows, cols]
        How many pulses each of them may have had, at most.
    """

    count: NDArray[np.int64]

    def __init__(self, message: str, block: Block, count: ArrayLike) -> None:
        import numpy as np

        super().__init__(message)
        self.block = block
        self.count = np.broadcast_to(np.asarray(count, dtype=np.int64), block.shape)
