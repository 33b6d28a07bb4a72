"""What scripted faults do to one reply on its way to the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..faults import Fault


@dataclass(slots=True)
class SpoiledReply:
    """Everything that happens to the reply of the message under way.

    Attributes
    ----------
    late : float, optional [s]
        It arrives that much later whatever is sent meanwhile; 0: once the next message was sent.
    lag : float [s]
        Wall-clock time a host on sockets holds it back.
    garbled, truncated, doubled, lost : bool
    drop : str
        Whether the connection goes ``inside`` or ``after`` it.
    """

    late: float | None = None
    lag: float = 0.0
    garbled: bool = False
    truncated: bool = False
    doubled: bool = False
    lost: bool = False
    drop: Literal["", "inside", "after"] = ""

    def add(self, fault: Fault) -> None:
        """Let one more fault strike."""
        if fault.kind == "late_reply":
            self.late = max(self.late or 0.0, fault.seconds)
            self.lag += fault.seconds
        elif fault.kind == "garbled_reply":
            self.garbled = True
        elif fault.kind == "truncated_reply":
            self.truncated = True
        elif fault.kind == "double_reply":
            self.doubled = True
        elif fault.kind == "no_reply":
            self.lost = True
        elif fault.kind == "drop_connection" and fault.where != "before":
            self.drop = fault.where

    def spoil(self, data: bytes) -> bytes:
        """Return what is left of the reply; the terminator of a garbled one survives."""
        if self.lost:
            return b""
        if self.garbled:
            data = bytes(byte ^ 0x5A if at % 3 == 1 and byte != 0x0A else byte for at, byte in enumerate(data))
        if self.doubled:
            data += data
        if self.truncated or self.drop == "inside":
            data = data[: len(data) // 2]
        return data
