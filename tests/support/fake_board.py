"""In-memory ends of a cable for driver tests: a strict script, and a dumb board that answers and remembers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.errors import InvalidSession, VisaIOError

CAPABILITY = {
    "protocol": "xbarlab-board/1", "rows": 8, "cols": 4, "cell": "1T1R", "gate_axis": "col", "clock": "real",
    "dac": {"volts_lsb": 1.52587890625e-4, "volts_max": 5.0, "gate_lsb": 1.52587890625e-4, "gate_max": 5.0},
    "width": {"tick": 1e-8, "min": 5e-8, "max": 1e-2},
    "count_max": 65535, "slot_overhead": 5e-6,
    "read": {"volts_max": 0.5, "gate_default": 5.0, "ranges": [1e-6, 1e-5, 1e-4, 1e-3], "adc_bits": 16,
             "average_max": 1024, "slot_seconds": 1e-5},
    "sample": {"rate_max": 1e5, "points_max": 1000000},
    "sweep": {"points_max": 10000, "dwell_min": 1e-4, "dwell_max": 10.0, "compliance_min": 1e-6,
              "compliance_max": 5e-3},
    "vmm": {"volts_lsb": 1.52587890625e-4, "volts_max": 0.3, "ranges": [1e-4, 1e-3, 1e-2], "adc_bits": 14,
            "batch_max": 65536, "slot_seconds": 1e-6},
    "update": {"slots_max": 127},
    "schemes": ["ground"],
    "supports": ["sample", "sweep", "vmm", "reverse", "outer_update", "onboard_verify"],
}  # fmt: skip


def block(payload: bytes) -> bytes:
    """Return a definite-length block."""
    digits = str(len(payload)).encode()
    return b"#" + str(len(digits)).encode() + digits + payload


# Whose reply is it: boards are asked by SYST:SYNC? or TAG?, bench instruments by an echo (board-protocol §11).
_LEAD = re.compile(
    rb"(?:SYST:SYNC\? (\d+);:?|TAG\? (\d+);|\*ESE (\d+);\*ESE\?;(?!\*ESE \d+;\*ESE\?[;\n]))(?=.)(.*)", re.DOTALL
)


def unbound(message: bytes) -> tuple[bytes, bytes]:
    """Return a message without the question in front that only it asks, and the answer to that; none has none."""
    found = _LEAD.fullmatch(message)
    if found is None:
        return message, b""
    return found[4], found[1] or found[2] or found[3]


class MemoryResource:
    """What a driver uses of a PyVISA resource, without PyVISA."""

    resource_name = "TCPIP0::fake-board::5025::SOCKET"
    write_termination = "\n"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        """What was sent, the question in front left out; ``raw`` has it as it was."""
        self.raw: list[bytes] = []
        self.session: int | None = 1
        self.timeout = 5000.0
        self.timeouts: list[float] = []
        self.clears = 0
        self.visalib = SimpleNamespace(
            resource_manager=None,
            library_path="memory",
            write=self.write,
            read=self.read,
            ignore_warning=lambda *_: nullcontext(),
        )
        self._out = bytearray()
        self._token = b""
        self._termchar = True
        self.read_termination = "\n"

    def answer(self, message: bytes) -> bytes:
        """Return what the other end says to ``message``."""
        raise NotImplementedError

    def set_visa_attribute(self, name: ResourceAttribute, state: bool) -> None:
        assert name == ResourceAttribute.termchar_enabled
        self._termchar = state

    def write(self, session: int | None, message: bytes) -> tuple[int, StatusCode]:
        if session is None:
            raise InvalidSession
        command, token = unbound(bytes(message))
        assert not token or token != self._token, f"{message!r} asks what was asked just before"
        self._token = token or self._token
        self.sent.append(command)
        self.raw.append(bytes(message))
        reply = self.answer(command)
        self._out += token + b";" + reply if token and reply else reply
        return len(message), StatusCode.success

    def read(self, session: int | None, count: int) -> tuple[bytes, StatusCode]:
        self.timeouts.append(self.timeout)
        end = self._out.find(self.read_termination.encode("ascii")) + 1
        if self._termchar and 0 < end <= count:
            return self._take(end), StatusCode.success_termination_character_read
        if len(self._out) < count:
            raise VisaIOError(StatusCode.error_timeout)
        return self._take(count), StatusCode.success_max_count_read

    def _take(self, count: int) -> bytes:
        taken = bytes(self._out[:count])
        del self._out[:count]
        return taken

    def clear(self) -> None:
        self.clears += 1
        self._out.clear()

    def close(self) -> None:
        self.session = None

    @property
    def left_over(self) -> bytes:
        """Replies nobody read."""
        return bytes(self._out)


class ScriptedResource(MemoryResource):
    """Insists on the exact exchange: a list of (message, reply or an exception to raise on the write)."""

    def __init__(self, script: list[tuple[bytes, bytes | BaseException]]) -> None:
        super().__init__()
        self.script = list(script)

    def answer(self, message: bytes) -> bytes:
        assert self.script, f"{message!r} was sent after the end of the script"
        if self.script[0][0] == b"SYNC":  # a sync number is random
            match = re.fullmatch(rb"SYST:SYNC\? (\d+)\n", message)
            assert match is not None, f"{message!r} was sent where a SYST:SYNC? belongs"
            prefix = self.script.pop(0)[1]
            assert isinstance(prefix, bytes)
            return prefix + match.group(1) + b"\n"
        wanted, reply = self.script.pop(0)
        assert message == wanted
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def assert_done(self) -> None:
        assert self.script == []
        assert self.left_over == b""


def opening(capability: dict[str, object] | None = None) -> list[tuple[bytes, bytes | BaseException]]:
    """Return the exchange with which every board is opened."""
    record = json.dumps(capability or CAPABILITY).encode()
    asked = [(b"CHIP:BIRT?\n", b'""\n')] if str((capability or {}).get("protocol")) == "xbarlab-board/2" else []
    return [
        (b"*IDN?\n", b"LAB,ARRAY-BOARD,0007,1.2\n"),
        (b"SYST:CAP?\n", block(record) + b"\n"),
        (b"*CLS;:ABOR;:SOUR:ZERO;:OUTP OFF\n", b""),
        (b"*RST;:SYST:ERR?\n", b'0,"No error"\n'),
        *asked,
    ]


class FakeBoard(MemoryResource):
    """Answers what a driver needs to get on; checks nothing, knows no physics."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.capability = {**CAPABILITY, **changes}
        self.errors: list[str] = []
        self.settings: dict[str, str] = {}
        self.last = "NONE,0,0,0,0,0"
        self.before: Callable[[str], None] = lambda _unit: None

    def answer(self, message: bytes) -> bytes:
        text, replies = message.rstrip(b"\n"), list[bytes]()
        if b"#" in text:  # header, block, tail: the fake trusts the driver's ;:SYST:ERR? after a block
            head, _, body = text.partition(b"#")
            self._block_command(head.decode(), replies)
            text = b"SYST:ERR?" if body.endswith(b";:SYST:ERR?") else b""
        for unit in text.decode().split(";"):
            if unit:
                self._unit(unit.lstrip(":"), replies)
        return b";".join(replies) + b"\n" if replies else b""

    def _block_command(self, head: str, replies: list[bytes]) -> None:
        self.before(head)
        rows, cols = self.capability["rows"], self.capability["cols"]
        if head.startswith("PULS:MAP"):
            self.last = "MAP,3,3,5,1.8e-05,1.8e-05"
        elif head.startswith("SWE:RUN"):
            self.last = "SWEEP,3,3,0,3e-3,3e-3"
        elif head.startswith("UPD:OUT"):
            slots = 4 * int(head.split()[1].split(",", maxsplit=1)[0])
            self.last = f"OUTER,{slots},{slots},7,1e-4,1e-4"
        elif head.startswith("PROG:VER"):
            self.last = "VERIFY,9,4,2,1e-3,5e-4"
        elif head.startswith("VMM:FORW"):
            replies.append(block(np.zeros(int(head.split()[1].strip(",")) * cols, "<i2").tobytes()))
        elif head.startswith("VMM:REV"):
            replies.append(block(np.zeros(int(head.split()[1].strip(",")) * rows, "<i2").tobytes()))

    def _unit(self, unit: str, replies: list[bytes]) -> None:
        self.before(unit)
        header, _, argument = unit.partition(" ")
        fixed = {
            "*IDN?": "LAB,ARRAY-BOARD,0007,1.2", "SENS:RANG?": "AUTO", "SENS:VMM:RANG?": "0.01", "*OPC?": "1",
            "SYST:WATC?": "10", "PULS:LAST?": self.last, "SIM:CLOC?": "0", "SENS:AVER?": "1", "OUTP?": "0",
            "*ESR?": "0", "CHIP:BIRT?": '"F-1"',
            "SOUR:READ:VOLT?": "0.2", "SOUR:READ:GATE?": "5", "SOUR:VMM:GATE?": "5", "DIAG:OPEN?": "2e7",
            "DIAG:OFFS?": "1e-10", "DIAG:REF?": "10010,10000",
        }  # fmt: skip
        if header == "SYST:CAP?":
            replies.append(block(json.dumps(self.capability).encode()))
        elif header == "SIM:INFO?":
            replies.append(block(b'{"profile": "fake", "seed": 1}'))
        elif header == "SYST:ERR?":
            replies.append((self.errors.pop(0) if self.errors else '0,"No error"').encode())
        elif header == "SYST:SYNC?":
            replies.append(argument.encode())
        elif header == "READ:MAP?":
            n = int(argument.split(",")[1]) * int(argument.split(",")[3])
            replies.append(block(np.full(2 * n, 1e-6, "<f4").tobytes() + bytes(n)))
        elif header in fixed:
            replies.append(self.settings.get(header, fixed[header]).encode())
        elif header.endswith("?"):
            raise AssertionError(f"the fake board has no answer to {unit}")

    @property
    def said(self) -> list[str]:
        """Messages as text, blocks cut off."""
        return [message.split(b"#")[0].decode().strip() for message in self.sent]
