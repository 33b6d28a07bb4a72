"""The board's watchdog: what is known of it, and what it must be told before a silence."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..wire.exchange import Exchange

EXPIRED = -365
_DEFAULT = 10.0
_SILENCE_MAX = 1e6
# A board that is silent for nearly its time-out may have let go of the array while a message is on its way.
_PART = 0.9


class Watchdog:
    """How long the board bears silence, and until when it has been fed.

    Attributes
    ----------
    seconds : its time-out [s]; 0 is never.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.seconds = _DEFAULT
        self._known = True
        self._alive_until = 0.0

    def fed(self) -> None:
        """Note that a message has left."""
        if self.seconds:
            self._alive_until = time.monotonic() + _PART * self.seconds

    def forget(self) -> None:
        """Note that a user may have set it."""
        self._known = False

    def know(self) -> None:
        """Ask for the time-out when it is not known."""
        if not self._known:
            self.seconds = self._exchange.ask_number("SYST:WATC?")
            self._known = True

    @property
    def may_have_expired(self) -> bool:
        """Whether the board has heard nothing for so long that it may have disconnected the array."""
        return bool(self.seconds) and time.monotonic() >= self._alive_until

    def declare_silence(self, seconds: float) -> None:
        """Tell the board that nothing will be sent for ``seconds`` [s], when its watchdog would mind."""
        self.know()
        announcement = self.announced(seconds, then="")
        if announcement:
            self._exchange.act(announcement.removesuffix(";"))
            self._alive_until = time.monotonic() + seconds + _PART * self.seconds

    def announced(self, seconds: float, *, then: str = ":") -> str:
        """Return what goes before a command that takes ``seconds`` [s], in the same message: a later one would end it.

        A board counts from the end of what it does, but not all boards did before that was written down, and a
        declared silence harms nobody.

        Parameters
        ----------
        then : str
            What leads back to the root of the command tree; nothing before a common command.
        """
        if not self.seconds or seconds <= self.seconds / 3.0:
            return ""
        return f"SYST:WATC:SUSP {min(1.05 * seconds + 1.0, _SILENCE_MAX):.9g};{then}"
