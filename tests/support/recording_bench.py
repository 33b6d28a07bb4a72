"""The other end of every cable, for one question: is anything that arrives outside the limits?

Nothing here is shared with the drivers: messages are read as a lenient instrument would read them, and what they come
to (levels, widths, counts, energies, pulses per cell) is compared with plain numbers.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from xbarlab.instruments.limits import Limits

from . import fake_board as fake

# What nine written digits leave open.
ROOM = 1.0 + 1e-9
_MULTIPLE = {
    "": 1.0,
    "K": 1e3,
    "M": 1e-3,
    "U": 1e-6,
    "N": 1e-9,
    "P": 1e-12,
    "MA": 1e6,
    "G": 1e9,
    "EX": 1e18,
    "PE": 1e15,
    "T": 1e12,
}


_THREE_LETTERS = {
    "LIMI": "LIM",
    "LEVE": "LEV",
    "IMME": "IMM",
    "SWEE": "SWE",
    "APPE": "APP",
    "LINE": "LIN",
    "CLOSE": "CLOS",
}


class BeyondLimitsError(AssertionError):
    """Something outside the limits arrived."""


class Judge:
    """Compares what arrives with the limits, and counts it."""

    def __init__(self, limits: Limits, polarity: int = 1) -> None:
        self.limits, self.polarity, self.judged = limits, polarity, 0
        self.armed = False  # instruments of a composed array learn its limits when it is composed

    def inside(self, what: str, values: Any, low: float, high: float) -> None:
        given = np.atleast_1d(np.asarray(values, dtype=np.float64))
        if not self.armed:
            return
        self.judged += given.size
        if not ((given >= low - abs(low) * (ROOM - 1.0)) & (given <= high * ROOM)).all():
            raise BeyondLimitsError(f"{what} {given.min()} … {given.max()} arrived; {low} … {high} is allowed")

    def cell(self, what: str, volts: Any) -> None:
        """Voltages across cells, as the chip's own polarity has them."""
        self.inside(what, self.polarity * np.asarray(volts), -self.limits.reset_volts_max, self.limits.set_volts_max)

    def pulses(self, volts: Any, width: Any, count: Any, edge: float | None) -> None:
        most = self.limits
        self.cell("pulse", volts)
        self.inside("width", width, most.width_min, most.width_max)
        self.inside("count", count, 0.0, most.count_max)
        self.inside("energy", np.abs(volts) * most.current_max * np.asarray(width), 0.0, most.energy_max)
        if edge is not None:
            self.inside("slew", 0.8 * np.abs(volts) / edge, 0.0, most.slew_max)

    def sweep(self, volts: Any, compliance: float, dwell: float) -> None:
        most, points = self.limits, np.asarray(volts, dtype=np.float64)
        self.cell("sweep", points)
        self.inside("compliance", compliance, 0.0, most.current_max)
        self.inside("energy of a point", np.abs(points) * compliance * dwell, 0.0, most.sweep_energy_max * (1 + 1e-6))
        steps = np.abs(np.diff(points, prepend=0.0)) / dwell
        self.inside("slew of a sweep", steps, 0.0, most.slew_max * (1 + 1e-6))


def number(text: str) -> float:
    """Read a number with any suffix an instrument might know; what is none of these is infinite."""
    match = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:E[+-]?\d+)?)\s*([A-Z]*)\s*", text.upper())
    if match is None:
        return float("inf")
    unit = match[2]
    for name in ("V", "A", "S"):
        unit = unit.removesuffix(name)
    if float(match[1]) == 0.0:
        return 0.0
    return float(match[1]) * _MULTIPLE.get(unit, float("inf"))


def units(text: str) -> list[tuple[str, list[str]]]:
    """Return (header, arguments) of a message without blocks: nodes cut to four letters, suffixes dropped.

    A unit without a leading colon is read from the root and from the path of the one before it.
    """
    found: list[tuple[str, list[str]]] = []
    path: list[str] = []
    for unit in re.split(r";(?=(?:[^\"']*[\"'][^\"']*[\"'])*[^\"']*$)", text.strip()):
        header, _, rest = unit.strip().partition(" ")
        if not header:
            continue
        arguments = [part.strip() for part in rest.split(",")] if rest.strip() else []
        if header.startswith("*"):
            found.append((header.upper(), arguments))
            continue
        nodes = [_short(node) for node in header.lstrip(":").split(":")]
        found.append((":".join(nodes), arguments))
        if path and not header.startswith(":"):
            found.append((":".join([*path, *nodes]), arguments))
        path = (nodes if header.startswith(":") or not path else [*path, *nodes])[:-1]
    return found


def _short(node: str) -> str:
    query = "?" if node.endswith("?") else ""
    match = re.fullmatch(r"([A-Z]*)(\d*)", node.rstrip("?").upper())
    if match is None:
        return node.upper()
    name = match[1][:4]
    return _THREE_LETTERS.get(name, name) + match[2] + query


class RecordingBoard(fake.FakeBoard):
    """A board that judges every message; it also knows how many pulses every cell has had."""

    def __init__(self, judge: Judge, **changes: object) -> None:
        super().__init__(**changes)
        self.judge = judge
        shape = self.capability["rows"], self.capability["cols"]
        self.given = np.zeros(shape)
        self.points = 0
        self.gates = {"SOUR:READ:GATE": 5.0, "SOUR:VMM:GATE": 5.0, "SOUR:READ:VOLT": 0.2}

    def answer(self, message: bytes) -> bytes:
        head, mark, rest = message.partition(b"#")
        if mark and rest[:1].isdigit():
            before, _, command = head.decode("ascii").rpartition(";:")
            self._judge_text(before)
            self._judge_block(command, rest)
        else:
            self._judge_text(message.decode("ascii"))
        return super().answer(message)

    def _unit(self, unit: str, replies: list[bytes]) -> None:
        header, _, rest = unit.partition(" ")
        header = header.upper()
        known = {
            "*ESR?": b"0",
            "CHIP:BIRT?": b'""',
            "FETC:SWE?": fake.block(bytes(9 * self.points)),
            "FETC:PROG?": fake.block(bytes(7 * self.points)),
        }
        if header.startswith("SAMP") and header.endswith("?"):
            replies.append(fake.block(bytes(4 * int(float(rest.split(",")[-1])))))
        elif header in known:
            replies.append(known[header])
        elif header.endswith("?") and header.startswith(("SOUR", "READ:V", "READ:G", "UPD", "VOLT", "GATE")):
            replies.append(b"0")
        else:
            super()._unit(unit, replies)

    def _judge_text(self, text: str) -> None:
        judge, most = self.judge, self.judge.limits
        for header, arguments in units(text):
            if header == "*RST":
                self.gates = dict.fromkeys(("SOUR:READ:GATE", "SOUR:VMM:GATE"), 5.0) | {"SOUR:READ:VOLT": 0.2}
            if header in self.gates and arguments:
                self.gates[header] = number(arguments[0])
                high = most.gate_max if "GATE" in header else most.read_volts_max
                judge.inside(header, self.gates[header], 0.0 if "GATE" in header else -high, high)
            if header == "SAMP?":
                judge.inside("sample", number(arguments[2]), -most.read_volts_max, most.read_volts_max)
                judge.inside("gate of a sample", number(arguments[3]), 0.0, most.gate_max)
            if header == "READ:MAP?":
                judge.inside("volts of a read", abs(self.gates["SOUR:READ:VOLT"]), 0.0, most.read_volts_max)
                judge.inside("gate of a read", self.gates["SOUR:READ:GATE"], 0.0, most.gate_max)

    def _judge_block(self, head: str, rest: bytes) -> None:
        judge, most, can = self.judge, self.judge.limits, self.capability
        payload = rest[1 + int(rest[:1]) : 1 + int(rest[:1]) + int(rest[1 : 1 + int(rest[:1])])]
        name, _, text = head.partition(" ")
        arguments = [float(part) for part in text.strip(",").split(",") if part]
        name = name.lstrip(":").upper()
        if name == "PULS:MAP":
            row0, rows, col0, cols = (int(value) for value in arguments)
            n = rows * cols
            volts = np.frombuffer(payload, "<i2", n) * can["dac"]["volts_lsb"]
            gates = np.frombuffer(payload, "<i2", n, 2 * n) * can["dac"]["gate_lsb"]
            count = np.frombuffer(payload, "<u2", n, 4 * n)
            width = np.frombuffer(payload, "<u4", n, 6 * n) * can["width"]["tick"]
            on = count > 0
            judge.pulses(volts[on], width[on], count[on], can["width"].get("edge"))
            judge.inside("gate", gates[on], 0.0, most.gate_max)
            self._give((row0, col0), count.reshape(rows, cols))
        elif name == "SWE:RUN":
            n = self.points = len(payload) // 8
            judge.sweep(np.frombuffer(payload, "<f4", n), arguments[2], arguments[3])
            judge.inside("gate", np.frombuffer(payload, "<f4", n, 4 * n), 0.0, most.gate_max)
        elif name in {"UPD:OUT", "UPD:OUT:TIL"}:
            slots, width, up, up_gate, down, down_gate = arguments
            judge.pulses([up, -down], width, slots, can["width"].get("edge"))
            judge.inside("gate", [up_gate, down_gate], 0.0, most.gate_max)
            if name.endswith("TIL"):
                tiles = len(payload) // 12  # four short numbers that say where, and how many products
                row0, rows, col0, cols = np.frombuffer(payload, "<u2", 4 * tiles).reshape(4, -1).astype(int)
                judge.inside("rows of a tile", [*row0, *(row0 + rows)], 0, can["rows"])
                judge.inside("columns of a tile", [*col0, *(col0 + cols)], 0, can["cols"])
        elif name == "PROG:VER":
            self.points = int(arguments[1] * arguments[3])
            _, most_pulses, width, up, start, stop, _, down, lowest, _, gate = arguments[4:]
            judge.pulses([up, -down, -lowest], width, most_pulses, can["width"].get("edge"))
            judge.inside("gate", [start, stop, gate], 0.0, most.gate_max)
        elif name.startswith("VMM:"):
            volts = np.frombuffer(payload, "<i2") * can["vmm"]["volts_lsb"]
            judge.inside("vmm", volts, -most.vmm_volts_max, most.vmm_volts_max)
            judge.inside("gate of a product", self.gates["SOUR:VMM:GATE"], 0.0, most.gate_max)
        else:
            raise BeyondLimitsError(f"a block came with {name}")

    def _give(self, corner: tuple[int, int], count: Any) -> None:
        self.given[corner[0] : corner[0] + count.shape[0], corner[1] : corner[1] + count.shape[1]] += count
        self.judge.inside("pulses in a life", self.given, 0.0, self.judge.limits.pulses_total_max)


class Station:
    """What the instruments of a probe station put across the cell that is tied to them."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.row, self.column = RecordingSmu(self, "row"), RecordingSmu(self, "column")
        self.pulser, self.matrix = RecordingPulser(self), RecordingMatrix()
        self.by_hand = False

    def settle(self) -> None:
        """Judge the two units, whoever set them; a hand knows nothing of the chip's polarity."""
        if not self.row.on or not self.column.on:
            return
        across = self.row.volts - self.column.volts
        if self.by_hand:
            most = max(self.judge.limits.set_volts_max, self.judge.limits.reset_volts_max)
            self.judge.inside("volts between the units", across, -most, most)
        else:
            self.judge.cell("volts between the units", across)


class Recording(fake.MemoryResource):
    """Answers what drivers ask to get on."""

    idn = ""

    def __init__(self) -> None:
        super().__init__()
        self.ese = "0"

    def answer(self, message: bytes) -> bytes:
        replies: list[str] = []
        for unit in re.split(r";(?=(?:[^\"']*[\"'][^\"']*[\"'])*[^\"']*$)", message.decode("ascii").strip()):
            header, _, rest = unit.strip().partition(" ")
            if header.upper() == "*ESE":
                self.ese = rest
            if "?" in header:
                replies.append(self.reply(header.upper().lstrip(":"), rest))
        for header, arguments in units(message.decode("ascii")):
            self.hear(header, arguments)
        return ";".join(replies).encode() + b"\n" if replies else b""

    def reply(self, header: str, rest: str) -> str:
        fixed = {"*IDN?": self.idn, "*ESE?": self.ese, "*OPC?": "1", "*LANG?": "SCPI", "SYST:LFR?": "50", "*ESR?": "0",
                 "SYST:ERR?": '0,"No error;0;0 0"'}  # fmt: skip
        return fixed.get(header, "0")

    def hear(self, header: str, arguments: list[str]) -> None:
        raise NotImplementedError


class RecordingSmu(Recording):
    """A 2450: what it is set to, and what flows out when it is on."""

    idn = "KEITHLEY INSTRUMENTS,MODEL 2450,04096331,1.7.12b"

    def __init__(self, station: Station, name: str) -> None:
        super().__init__()
        self.station, self.name = station, name
        self.volts, self.limit, self.on, self.points, self.bare = 0.0, 1.05e-4, False, 0, False

    def reply(self, header: str, rest: str) -> str:
        if header == "READ?":
            return f"{self.volts},1e-9,136"
        if header == "OUTP?":
            return str(int(self.on))
        if header == "TRIG:STAT?":
            return "IDLE;IDLE;0"
        if header == "TRAC:ACT?":
            return str(self.points)
        if header == "TRAC:DATA?":
            first, last = (int(part) for part in rest.split(",")[:2])
            return ",".join(["0,1e-9,136"] * (last - first + 1))
        return {"SENS:FUNC?": '"CURR:DC"', "SOUR:FUNC?": "VOLT"}.get(header, super().reply(header, rest))

    def hear(self, header: str, arguments: list[str]) -> None:
        judge = self.station.judge
        most = max(judge.limits.set_volts_max, judge.limits.reset_volts_max)
        source, _, name = header.partition(":")
        if source not in {"SOUR", "SOUR1"}:
            name = ""  # the node is not optional on this instrument
        for level in (":AMPL", ":IMM", ":LEV"):
            name = name.removesuffix(level)
        if header == "*RST":
            self.volts, self.limit, self.on = 0.0, 1.05e-4, False
        if name in {"VOLT", "LIST:VOLT", "LIST:VOLT:APP"} and arguments:
            levels = [number(text) for text in arguments]
            judge.inside(f"level of {self.name}", levels, -most, most)
            if name == "VOLT":
                self.volts = levels[0]
            else:
                self.points = len(levels) + (self.points if "APP" in name else 0)
        elif name.startswith(("SWE:VOLT:LIN", "SWE:VOLT:LOG")) and arguments:
            judge.inside(f"sweep of {self.name}", [number(text) for text in arguments[:2]], -most, most)
        elif name == "VOLT:ILIM" and arguments:
            self.limit = number(arguments[0])
            judge.inside(f"limit of {self.name}", self.limit, 0.0, judge.limits.current_max)
        elif (name.startswith(("CURR", "LIST:CURR", "SWE:CURR", "PULS")) and arguments) or (
            name.startswith("FUNC") and arguments and not "VOLTAGE".startswith(arguments[0].upper())
        ):
            raise BeyondLimitsError(f"{self.name} was told {header} {arguments}")
        elif header.startswith("OUTP") and arguments and "SMOD" not in header:
            self.on = arguments[0].upper() in {"ON", "1"}
        if self.on:
            judge.inside(f"limit of {self.name} as it is on", self.limit, 0.0, judge.limits.current_max)
        self.station.settle()


class RecordingPulser(Recording):
    """A 33622A: what both channels are set to, and what leaves them at a trigger."""

    idn = "Agilent Technologies,33622A,MY53800001,A.02.02-2.25-03-64-02"

    def __init__(self, station: Station) -> None:
        super().__init__()
        self.station = station
        self.reset()
        self.fired = 0

    def reset(self) -> None:
        self.set: list[dict[str, float | str]] = [
            {"HIGH": 0.05, "LOW": -0.05, "OFFS": 0.0, "LOAD": "50", "FUNC": "SIN", "NCYC": 1.0, "WIDT": 1e-4,
             "TRAN": 1e-8, "STAT": "OFF", "COUN": 1.0, "MOD": ""}
            for _ in range(2)
        ]  # fmt: skip
        self.on = [False, False]

    def hear(self, header: str, arguments: list[str]) -> None:
        if header == "*RST":
            self.reset()
        if header == "*TRG":
            self._fire()
        if not arguments:
            return
        channel = 1 if re.search(r"(SOUR|OUTP|TRIG)2", header) else 0
        mine, last, value = self.set[channel], header.rsplit(":", maxsplit=1)[-1], arguments[0].upper()
        judge, most = (
            self.station.judge,
            max(self.station.judge.limits.set_volts_max, self.station.judge.limits.reset_volts_max),
        )
        voltage = re.fullmatch(
            r"(?:SOUR\d?:)?VOLT(?::LEV)?(?::IMM)?(:AMPL|:OFFS|:HIGH|:LOW|:LIM:HIGH|:LIM:LOW|)", header
        )
        if voltage is not None:
            judge.inside(f"pulser {header}", number(value), -most, most)
        if voltage is not None and voltage[1] in {"", ":AMPL"}:
            mine["HIGH"], mine["LOW"] = 0.5 * number(value), -0.5 * number(value)
        elif voltage is not None and voltage[1] in {":HIGH", ":LOW"}:
            mine[last] = number(value)
        elif voltage is not None and voltage[1] == ":OFFS":
            mine["OFFS"] = mine["HIGH"] = mine["LOW"] = number(value)
        elif re.fullmatch(r"(SOUR\d?:)?FUNC", header):
            mine["FUNC"] = value
        elif last in {"WIDT", "TRAN"} and value not in {"MIN"}:
            mine[last] = number(value)
        elif last in {"LOAD", "NCYC"}:
            mine[last] = value if last == "LOAD" else number(value)
        elif "BURS" in header and last == "STAT":
            mine["STAT"] = value
        elif header.startswith("TRIG") and last == "COUN":
            mine["COUN"] = number(value)
        elif re.search(r"(AM|FM|PM|PWM|BPSK|FSKE?|SUM):STAT", header):
            mine["MOD"] = value
        elif re.fullmatch(r"OUTP\d?(:STAT)?", header):
            self.on[channel] = value in {"ON", "1"}
            if self.on[channel]:
                self._switched_on(mine)

    def _switched_on(self, mine: dict[str, float | str]) -> None:
        waits = mine["FUNC"].startswith("PULS") and mine["STAT"] in {"ON", "1"}  # type: ignore[union-attr]
        rests = mine["FUNC"] == "DC" and mine["OFFS"] == 0.0
        if not str(mine["LOAD"]).startswith("INF") or not (waits or rests) or mine["MOD"] not in {"", "OFF", "0"}:
            raise BeyondLimitsError(f"a channel of the pulser went on as it was: {mine}")

    def _fire(self) -> None:
        if not all(self.on):
            return
        first, second = (float(mine["HIGH"]) + float(mine["LOW"]) if mine["FUNC"] != "DC" else 0.0 for mine in self.set)
        pulsed = [mine for mine in self.set if mine["FUNC"] != "DC"]
        widths = [float(mine["WIDT"]) for mine in pulsed]
        counts = [float(mine["NCYC"]) * float(mine["COUN"]) for mine in pulsed]
        edge = min(float(mine["TRAN"]) for mine in pulsed)
        judge = self.station.judge
        volts = np.full(len(pulsed), first - second)
        if self.station.by_hand:  # either sign, for a channel knows nothing of the chip's polarity
            volts = np.copysign(volts, 1.0 if judge.limits.set_volts_max >= judge.limits.reset_volts_max else -1.0)
            volts = judge.polarity * volts
        judge.pulses(volts, widths, counts, edge)
        self.fired += 1


class RecordingMatrix(Recording):
    """A B2201A: no output line may ever be on two inputs."""

    idn = "Agilent Technologies,B2201A,0,A.01.00"

    def __init__(self) -> None:
        super().__init__()
        self.closed: set[str] = set()

    def answer(self, message: bytes) -> bytes:
        for unit in message.decode("ascii").split(";"):
            change = re.match(r":?(?:ROUT:)?(CLOS|OPEN)(:CARD)? (.*)", unit.strip())
            if change is not None:
                channels = set(re.findall(r"\d{5}", change[3]))
                self.closed = (
                    set() if change[2] else self.closed | channels if change[1] == "CLOS" else self.closed - channels
                )
                lines = [channel[3:] for channel in self.closed]
                if len(lines) > len(set(lines)):
                    raise BeyondLimitsError(f"two inputs on one line: {sorted(self.closed)}")
        return super().answer(message)

    def reply(self, header: str, rest: str) -> str:
        if header == "ROUT:CLOS:CARD?":
            return f"(@{','.join(sorted(self.closed))})"
        return super().reply(header, rest)

    def hear(self, header: str, arguments: list[str]) -> None:
        pass
