"""What every VISA driver of ours shares: opening that explains itself, writes that are checked and answered for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pyvisa
from pyvisa.highlevel import list_backends

from ...common.errors import RefusedError, unknown
from ..errors import ConnectionLostError
from .ports import SocketPort, port_of
from .recovery import RecoveryMixin
from .reply_stream import LINK_ERRORS
from .wire_text import brief

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

    from .command_guard import CommandGuard

TOKEN = "XBARLAB_TOKEN"
"""Environment variable: what a simulator on another computer wants to hear first. No station file holds a secret."""


class BoardVisaMixin(RecoveryMixin):
    """Put before a QCoDeS ``VisaInstrument``: everything it writes is checked, answered for, and bounded in time.

    ``write`` appends an error query, so a refused command raises at once; ``ask`` that times out tells the board's own
    words. Both judge what they are given by ``_guard`` before a byte leaves.
    """

    default_terminator = "\n"
    default_timeout = 5.0

    _guard: CommandGuard | None = None

    # -- opening ---------------------------------------------------------------------------------------------------

    def _connect_and_handle_error(self, address: str, visalib: str | None) -> MessageBasedResource:
        """Open the VISA resource, or say which address was tried and how."""
        backend = visalib or "the default VISA library"
        try:
            manager = pyvisa.ResourceManager(visalib) if visalib else pyvisa.ResourceManager()
        except ValueError as error:
            known = {f"@{name}" for name in (*list_backends(), "xbarlab")}
            said = unknown("VISA library", f"@{visalib.rpartition('@')[2]}", known) if visalib else str(error)
            raise RefusedError(f"{self.name} cannot be opened: visalib {backend}: {said}") from error
        try:
            resource = manager.open_resource(address, open_timeout=int(1000 * (self.default_timeout or 5.0)))
        except ValueError as error:
            raise RefusedError(f"{self.name} cannot be opened at {address} through {backend}: {error}") from error
        except Exception as error:  # pyvisa-py raises a bare Exception when it cannot connect
            raise ConnectionLostError(
                f"{self.name} does not answer at {address} (opened through {backend}: {error}): check that the "
                "instrument is on, its cable and address, and that no other program holds it"
            ) from error
        self._opened_at = (address, visalib)
        opened = cast("MessageBasedResource", resource)
        self._show_token(opened, address, visalib)
        return opened

    def _show_token(self, resource: MessageBasedResource, address: str, visalib: str | None) -> None:
        """Say first of all what a simulator on another computer wants to hear, when the environment has it."""
        token = os.environ.get(TOKEN, "")
        if not token or not address.upper().endswith("::SOCKET") or (visalib or "").endswith("@xbarlab"):
            return
        if not (token.isascii() and token.isprintable()):
            resource.close()
            raise RefusedError(f"{TOKEN} cannot be sent in a line: it must be printable ASCII")
        try:
            resource.write_raw(f"XBAR:TOKEN {token}\n".encode("ascii"))
        except LINK_ERRORS as error:
            resource.close()
            raise ConnectionLostError(
                f"{self.name} at {address} hung up before it was shown {TOKEN} ({brief(error)}): check address and port"
            ) from error

    def device_clear(self) -> None:
        """Clear the link; of a socket that is what has arrived."""
        place = self.place
        try:
            port = port_of(self.visa_handle)
            if isinstance(port, SocketPort):
                port.drain()
            else:
                super().device_clear()
        except LINK_ERRORS as error:
            self.visa_handle.close()
            raise ConnectionLostError(
                f"{self.name} does not answer at {place} (tried to connect: {brief(error)}): "
                "check that the instrument is on, its address and port, and that no other program holds it"
            ) from error

    def set_terminator(self, terminator: str | None) -> None:
        """Set the terminator and take the link over; QCoDeS calls this when the resource is open."""
        super().set_terminator(terminator)
        self._port = port_of(self.visa_handle)

    def _set_visa_timeout(self, timeout: float | None) -> None:
        if timeout is None or not 0.0 < timeout < 1e5:
            raise RefusedError(
                f"{self.name} timeout {timeout} s is not bounded: choose more than 0 and less than 1e5 s"
            )
        self._base_timeout = timeout
        self._port.set_timeout(timeout)

    # -- the two doors of QCoDeS -------------------------------------------------------------------------------------

    def write(self, cmd: str) -> None:
        """Write a command, checked against the limits and answered for by the error queue."""
        self.write_raw(cmd)

    def ask(self, cmd: str) -> str:
        """Write a query, checked against the limits, and return the reply."""
        return self.ask_raw(cmd)

    def write_raw(self, cmd: str) -> None:
        """Write a command that has no reply."""
        self._check(cmd)
        if "?" in cmd.partition('"')[0]:
            raise RefusedError(f"{cmd!r} asks something: use ask, or its reply is taken for the next one's")
        self._heard_by_hand()
        self._act(cmd)

    def ask_raw(self, cmd: str) -> str:
        """Write a query and return its reply."""
        self._check(cmd)
        if "?" not in cmd:
            raise RefusedError(f"{cmd!r} asks nothing: use write, or the reply is waited for in vain")
        if ";" in cmd:
            self._heard_by_hand()  # a part of it may set something
        return self._query(cmd)

    def _check(self, cmd: str) -> None:
        if self._guard is not None:
            self._guard.check(cmd)

    def _heard_by_hand(self) -> None:
        """Called before what a user writes is sent: the driver no longer knows how the instrument is set."""
        self._forget_settings()

    def _forget_settings(self) -> None:
        """Forget what may be stale of what is remembered of the instrument's settings."""
