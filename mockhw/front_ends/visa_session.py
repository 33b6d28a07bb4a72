"""One VISA session to a simulated instrument: what the cable, the driver and the read buffer do to a message."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from pyvisa import attributes, constants
from pyvisa.constants import ResourceAttribute, StatusCode

from ..instrument import advance_to

if TYPE_CHECKING:
    from pyvisa.rname import ResourceName

    from ..instrument import SimulatedInstrument

_STREAM_CLASS: Final = "SOCKET"
_NO_TIMEOUT: Final = constants.VI_TMO_INFINITE
_UNREAD_MAX: Final = 1 << 26
_BYTES_WAITING: Final = int(ResourceAttribute.asrl_avalaible_number)


class InstrumentSession:
    """Buffers and attributes of one open resource.

    A socket is a stream: what the instrument has answered lies in the receive buffer, reads end at the
    termination character or when the count is full, and a short read runs into its timeout as it does with a
    real VISA. The other classes carry an end mark with each message, a status byte and a device clear.

    What was sent before a connection broke can still be read; after that reads and writes say "connection lost", as
    VISA has it (pyvisa-py keeps silent until the time-out and then raises what the socket raises). An instrument whose
    replies nobody reads takes no more writes in the end: they time out.

    Parameters
    ----------
    instrument : SimulatedInstrument
    parsed : ResourceName
        The resource name, parsed by PyVISA.
    """

    def __init__(self, instrument: SimulatedInstrument, parsed: ResourceName) -> None:
        self.instrument = instrument
        self.stream = parsed.resource_class == _STREAM_CLASS
        self.type = (parsed.interface_type_const, parsed.resource_class)
        self.gone = False
        self._received = b""
        self._at = 0
        self._timeout = 2.0
        self._mark_on = False
        self._mark = b"\n"
        self._attributes: dict[int, Any] = {
            ResourceAttribute.resource_name: str(parsed),
            ResourceAttribute.resource_class: parsed.resource_class,
            ResourceAttribute.interface_type: parsed.interface_type_const,
            ResourceAttribute.interface_number: int(getattr(parsed, "board", 0) or 0),
            ResourceAttribute.resource_manufacturer_name: "xbarlab",
            ResourceAttribute.termchar: 0x0A,
            ResourceAttribute.termchar_enabled: False,
            ResourceAttribute.timeout_value: 2000,
            ResourceAttribute.send_end_enabled: True,
            ResourceAttribute.suppress_end_enabled: self.stream,
            ResourceAttribute.tcpip_nodelay: True,
        }

    # --- data ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> StatusCode:
        """Send bytes to the instrument."""
        session = self.instrument.session
        if self.gone or session.dropped:
            return self._lost()
        if session.output and self.stream:
            if len(self._received) > _UNREAD_MAX:
                return StatusCode.error_timeout
            self._collect()  # what was answered before is on the wire already
        self.instrument.receive(
            data, end=not self.stream and bool(self._attributes[ResourceAttribute.send_end_enabled])
        )
        return self._lost() if session.torn else StatusCode.success

    def read(self, count: int) -> tuple[bytes, StatusCode]:
        """Return at most ``count`` bytes, letting simulated time pass until they are there or time is up."""
        received, at = self._received, self._at
        if at >= len(received) or self.stream:
            if at >= len(received):
                received, at = b"", 0
            if not self._fill(received, at, count):
                return self._time_out()
            received, at = self._received, self._at
        left = len(received) - at
        if self._mark_on:
            found = received.find(self._mark, at, at + count)
            if found >= 0:
                self._at = found + 1
                return received[at : found + 1], StatusCode.success_termination_character_read
        if count < left or (count == left and self.stream):
            self._at = at + count
            return (received if at == 0 and count == len(received) else received[at : at + count]), (
                StatusCode.success_max_count_read
            )
        self._received, self._at = b"", 0
        return (received[at:] if at else received), StatusCode.success

    def clear(self) -> StatusCode:
        """Device clear; on a socket only what has been received is thrown away."""
        if self.stream:
            self._collect()
        else:
            self.instrument.session.clear()
        self._received, self._at = b"", 0
        return StatusCode.success

    def discard(self) -> None:
        """Throw away what has been received."""
        self._received, self._at = b"", 0

    def read_status_byte(self) -> tuple[int, StatusCode]:
        """Serial poll."""
        if self.stream:
            return 0, StatusCode.error_nonsupported_operation
        session = self.instrument.session
        return session.status.byte(message=bool(self._received) or session.message_available), StatusCode.success

    def close(self) -> None:
        """Let the instrument go; it notices if the transport is connection-oriented."""
        if not self.gone:
            self.gone = True
            self.instrument.disconnect(lost=self.stream)

    # --- attributes ---------------------------------------------------------------------------

    def get_attribute(self, name: int) -> tuple[Any, StatusCode]:
        """Return a VISA attribute."""
        if name == _BYTES_WAITING:
            return self.bytes_waiting(), StatusCode.success
        if name in self._attributes:
            return self._attributes[name], StatusCode.success
        known = attributes.AttributesByID.get(name)
        if known is None or not known.in_resource(self.type):
            return 0, StatusCode.error_nonsupported_attribute
        return (0 if known.default in ("N/A", NotImplemented) else known.default), StatusCode.success

    def set_attribute(self, name: int, state: Any) -> StatusCode:
        """Set a VISA attribute."""
        known = attributes.AttributesByID.get(name)
        if known is None or not known.in_resource(self.type):
            return StatusCode.error_nonsupported_attribute
        if not known.write:
            return StatusCode.error_attribute_read_only
        self._attributes[name] = state
        if name == ResourceAttribute.timeout_value:
            self._timeout = math.inf if int(state) >= _NO_TIMEOUT else int(state) / 1000.0
        elif name == ResourceAttribute.termchar:
            self._mark = bytes([int(state)])
        elif name == ResourceAttribute.termchar_enabled:
            self._mark_on = bool(state)
        return StatusCode.success

    def bytes_waiting(self) -> int:
        """Return how much has been answered and not read: what serial ports tell by this attribute, told here too."""
        session = self.instrument.session
        if not self.stream:
            return len(self._received) - self._at + int(session.message_available)
        if session.output:
            self._collect()
        return len(self._received) - self._at

    # --- the receive buffer -------------------------------------------------------------------

    def _collect(self) -> None:
        while (reply := self.instrument.session.take()) is not None:
            self._received = self._received[self._at :] + reply if self._received else reply
            self._at = 0

    def _fill(self, received: bytes, at: int, count: int) -> bool:
        """Get enough into the buffer for a read of ``count``; return False when the time is up before."""
        self._received, self._at = received, at
        instrument = self.instrument
        deadline = instrument.clock.now + self._timeout
        enough = at < len(received) and self._enough(count)
        while not enough:
            if self.gone:
                return False
            reply = instrument.wait_for_reply(deadline)
            if reply is None:
                if deadline < math.inf and not instrument.session.dropped:
                    advance_to(instrument.clock, deadline)
                return False
            self._received = self._received[self._at :] + reply if len(self._received) > self._at else reply
            self._at = 0
            enough = len(reply) >= count or self._enough(count)
        return True

    def _enough(self, count: int) -> bool:
        left = len(self._received) - self._at
        if not self.stream:
            return left > 0
        return left >= count or (self._mark_on and self._received.find(self._mark, self._at) >= 0)

    def _time_out(self) -> tuple[bytes, StatusCode]:
        """What a read that got too little does: it returns what there is, with an error."""
        if self.gone or self.instrument.session.dropped:
            return b"", self._lost()
        if not self.stream and not self.instrument.session.owes_reply:
            self.instrument.session.unterminated()
        rest = self._received[self._at :]
        self._received, self._at = b"", 0
        return rest, StatusCode.error_timeout

    def _lost(self) -> StatusCode:
        if not self.gone:
            self.gone = True
            self.instrument.disconnect(lost=True)
        return StatusCode.error_connection_lost
