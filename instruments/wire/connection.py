"""Opening the VISA resource of an instrument, and opening it anew: what fails says which address was tried and how."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pyvisa
from pyvisa.errors import InvalidSession
from pyvisa.highlevel import list_backends

from ...common.errors import RefusedError, unknown
from ..errors import ConnectionLostError
from .binding import Unbound
from .line import LINK_ERRORS, Line
from .ports import SocketPort, VisaPort, port_of
from .wire_log import WireLog, current_log, traced
from .wire_text import brief

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

TOKEN = "XBARLAB_TOKEN"
"""Environment variable: what a simulator on another computer wants to hear first. No station file holds a secret."""
_IN_PROCESS = "@xbarlab"
_OPEN_SECONDS = 5.0


class Connection:
    """The VISA resource behind a line.

    Parameters
    ----------
    line : Line
        Gets its port from here.

    Attributes
    ----------
    handle : the resource; None before it is opened and after the instrument was stripped.
    adopt : told of a resource that was opened anew.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._own_binding = line.binding
        self._opened_at: tuple[str, str | None] | None = None
        self._log: WireLog | None = None
        self.handle: MessageBasedResource | None = None
        self.adopt: Callable[[MessageBasedResource], None] = lambda handle: None
        line.close = self.close
        line.ask_place = lambda: str(self.handle.resource_name) if self.handle is not None else ""

    def open(self, address: str, visalib: str | None) -> MessageBasedResource:
        """Open the VISA resource, or say which address was tried and how."""
        name = self._line.name
        backend = visalib or "the default VISA library"
        try:
            with warnings.catch_warnings():
                # Said by gpib-ctypes to whoever has it, of whatever address; of a GPIB one pyvisa-py says so itself.
                warnings.filterwarnings("ignore", "GPIB library not found")
                manager = pyvisa.ResourceManager(visalib) if visalib else pyvisa.ResourceManager()
        except ValueError as error:
            known = {f"@{known}" for known in (*list_backends(), "xbarlab")}
            said = unknown("VISA library", f"@{visalib.rpartition('@')[2]}", known) if visalib else str(error)
            raise RefusedError(f"{name} cannot be opened: visalib {backend}: {said}") from error
        try:
            resource = manager.open_resource(address, open_timeout=int(1000 * _OPEN_SECONDS))
        except ValueError as error:
            raise RefusedError(f"{name} cannot be opened at {address} through {backend}: {error}") from error
        except Exception as error:  # pyvisa-py raises a bare Exception when it cannot connect
            raise ConnectionLostError(
                f"{name} does not answer at {address} (opened through {backend}: {error}): check that the "
                "instrument is on, its cable and address, and that no other program holds it"
            ) from error
        self._opened_at = (address, visalib)
        opened = cast("MessageBasedResource", resource)
        self._show_token(opened, address, visalib)
        return opened

    def _show_token(self, resource: MessageBasedResource, address: str, visalib: str | None) -> None:
        """Say first of all what a simulator on another computer wants to hear, when the environment has it."""
        token = os.environ.get(TOKEN, "")
        if not token or not address.upper().endswith("::SOCKET") or (visalib or "").endswith(_IN_PROCESS):
            return
        if not (token.isascii() and token.isprintable()):
            resource.close()
            raise RefusedError(f"{TOKEN} cannot be sent in a line: it must be printable ASCII")
        try:
            resource.write_raw(f"XBAR:TOKEN {token}\n".encode("ascii"))
        except LINK_ERRORS as error:
            resource.close()
            raise ConnectionLostError(
                f"{self._line.name} at {address} hung up before it was shown {TOKEN} ({brief(error)}): "
                "check address and port"
            ) from error

    def take(self, handle: MessageBasedResource) -> None:
        """Make the port of an open resource the line's, and decide how replies are bound to their questions."""
        self.handle = handle
        port = port_of(handle, self._line.end)
        visalib = (self._opened_at or ("", None))[1] or ""
        quiet = visalib.endswith(_IN_PROCESS) and isinstance(port, VisaPort) and port.tells_surplus
        self._line.binding = Unbound(self._own_binding) if quiet else self._own_binding
        self._log = self._log or current_log()
        self._line.port = traced(port, self._line.name, self._log)

    def drained(self, handle: MessageBasedResource) -> bool:
        """Throw away what has arrived on a socket; False where another kind of link has a clear of its own.

        Raises
        ------
        ConnectionLostError
            The other end has hung up.
        """
        try:
            port = port_of(handle)
            if not isinstance(port, SocketPort):
                return False
            port.drain()
        except LINK_ERRORS as error:
            raise self._hung_up(handle, error) from error
        return True

    def _hung_up(self, handle: MessageBasedResource, error: BaseException) -> ConnectionLostError:
        place = str(handle.resource_name)
        handle.close()
        return ConnectionLostError(
            f"{self._line.name} does not answer at {place} (tried to connect: {brief(error)}): "
            "check that the instrument is on, its address and port, and that no other program holds it"
        )

    @property
    def is_open(self) -> bool:
        """Whether the resource has not been closed."""
        try:
            session: object = None if self.handle is None else self.handle.session
        except InvalidSession:
            return False
        return session is not None

    def close(self) -> None:
        """Close the resource; the line stays and says so when it is used."""
        if self.handle is not None:
            self.handle.close()

    def reopen(self, error: BaseException | None) -> None:
        """Open the same address anew.

        Raises
        ------
        ConnectionLostError
            When it does not answer; ``error`` itself when there is no way to open it anew.
        """
        if self._opened_at is None:
            raise error if error is not None else ConnectionLostError(f"{self._line.name} cannot be opened anew")
        with suppress(*LINK_ERRORS):
            self.close()
        handle = self.open(*self._opened_at)
        handle.write_termination = handle.read_termination = self._line.end.decode("ascii")
        self.adopt(handle)
        self.take(handle)
        self._line.set_timeout(self._line.base_timeout)
        with suppress(*LINK_ERRORS):
            self._line.port.clear()  # of replies from before, where the bus keeps them
        self._line.lost = False

    def forbid_reopening(self) -> None:
        """Open nothing anew from now on."""
        self._opened_at = None
