"""Going on after a fault: what is harmless is asked once more, on a new connection where the old one is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ...common.errors import XbarlabError
from ..errors import ConnectionLostError, GarbledReplyError, PowerLostError, ReplyLostError

if TYPE_CHECKING:
    from ..capabilities import Identity
    from .connection import Connection
    from .exchange import Exchange
    from .faults import Faults
    from .line import Line

log = logging.getLogger(__name__)

T = TypeVar("T")

FAULTS_OF_THE_LINK = (GarbledReplyError, ReplyLostError, ConnectionLostError, PowerLostError)
"""After these nobody has refused anything: what does not act may be asked once more."""


class Incidents:
    """Faults that were got over; nobody should have to find out from a log.

    Attributes
    ----------
    tell : who wants to know of them, a sentence each; what happened before somebody did is told when he asks.
    """

    def __init__(self) -> None:
        self._tell: Callable[[str], object] | None = None
        self._early: list[str] = []

    @property
    def tell(self) -> Callable[[str], object] | None:
        """Who wants to know."""
        return self._tell

    @tell.setter
    def tell(self, tell: Callable[[str], object] | None) -> None:
        self._tell = tell
        if tell is not None:
            for sentence in self._early:
                tell(sentence)
            self._early.clear()

    def note(self, sentence: str) -> None:
        """Keep what went wrong and was got over."""
        log.info("%s", sentence)
        if self._tell is not None:
            self._tell(sentence)
        else:
            self._early.append(sentence)


class Recovery:
    """Repeats what is harmless, once; opens a lost connection anew, once, and makes sure who answers.

    This is the one place that decides what is repeated. What a fault means, :class:`~.faults.Faults` decides; where
    the place in the reply stream is, :class:`~.line.Line`.

    Attributes
    ----------
    identity : who answered when it was opened; None as long as nobody has.
    reconnected : what a new connection means for what is remembered.
    restore : sets up again, after a power failure, what was set up when the instrument was opened.
    """

    def __init__(
        self, line: Line, exchange: Exchange, faults: Faults, connection: Connection, incidents: Incidents
    ) -> None:
        self._line = line
        self._exchange = exchange
        self._faults = faults
        self._connection = connection
        self._incidents = incidents
        self.identity: Identity | None = None
        self.reconnected: Callable[[], None] = lambda: None
        self.restore: Callable[[], None] = lambda: None
        line.note = incidents.note

    def repeated(self, harmless: Callable[[], T]) -> T:
        """Return what ``harmless`` returns, and do it once more when a fault of the link came between.

        Only for reads and for settings made again from the beginning: never for what acts on the chip.
        """
        try:
            return harmless()
        except FAULTS_OF_THE_LINK as error:
            self._recover_after(error)
            self._incidents.note(f"{error}; done once more")
            return harmless()

    def _recover_after(self, error: XbarlabError) -> None:
        """Get to where the same can be asked again, or raise why not."""
        if self.is_gone:
            self.reconnect(error)
        if isinstance(error, PowerLostError) or self._faults.power_was_lost():
            self.restore()

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be asked before the connection is opened anew."""
        return self._line.lost or not self._connection.is_open

    def reconnect(self, error: BaseException | None) -> None:
        """Open the connection anew and make sure that the same instrument answers.

        Raises
        ------
        ConnectionLostError
            When it does not answer within its time-outs; ``error`` itself when there is no way to open it anew.
        """
        self._connection.reopen(error)
        # Who answers comes before anything that another instrument could take for a command.
        self._same_instrument()
        self._line.find_place()
        self._incidents.note(f"{self._line.name} at {self._line.place}: the connection was lost and is open again")
        self.reconnected()

    def _same_instrument(self) -> None:
        """Refuse to go on with another instrument at the same address."""
        known = self.identity
        if known is None:
            return
        parts = [part.strip() for part in self._exchange.ask_identity().split(",")]
        if parts[2:3] != [known.serial]:
            self._line.lost = True
            self._connection.close()
            raise ConnectionLostError(
                f"{self._line.name} at {self._line.place} answered *IDN? with serial number {','.join(parts[2:3])!r} "
                f"after the connection was lost, and was {known.serial!r} before: check who has this address now"
            )
