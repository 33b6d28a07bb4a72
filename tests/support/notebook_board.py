"""A simulated array board whose chip is a notebook and whose wall clock is set by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.array_board.board import ArrayBoard
from xbarlab.mockhw.instruments.array_board.spec import BoardSpec, supported
from xbarlab.mockhw.sim_clock import SimClock

ROWS, COLS = 6, 4
LSB = 5.0 / 32768


class NotebookChip:
    """Conductances that move by a fixed step per pulse, and a list of what was asked."""

    cell, birth, seed = "1T1R", "W12-D07-2026", 0

    def __init__(self, clock: SimClock, rows: int = ROWS, cols: int = COLS, gate_axis: str = "col") -> None:
        self.clock = clock
        self.rows, self.cols, self.gate_axis = rows, cols, gate_axis
        self.g = np.full((rows, cols), 50e-6)
        self.fired: list[tuple[float, int, int, float, float, float, int]] = []
        self.firings: list[float] = []
        self.swept: list[tuple[float, list[float], float]] = []
        self.step = 10e-6

    def pulse(self, slot, cells, volts, width, gate, count):
        assert np.all(np.diff(slot) >= 0)
        self.firings.append(self.clock.now)
        for s, c, v, w, g, n in zip(slot, cells, volts, width, gate, count, strict=True):
            self.fired.append(
                (self.clock.now, int(s), int(c), round(float(v), 3), float(w), round(float(g), 3), int(n))
            )
            self.g.flat[c] = max(0.0, self.g.flat[c] + np.sign(v) * self.step * n)

    def pulse_in_turn(self, starts, slot, cells, volts, width, gate, count):
        for first, last in pairwise(starts.tolist()):
            at = slice(first, last)
            self.pulse(slot[at], cells[at], volts[at], width[at], gate[at], count[at])

    def read(self, rows, cols, volts, gate, average):
        return self.g[rows, cols] * volts

    def column_moments(self, rows, col, volts, gate):
        return self.g[rows, col], np.zeros_like(self.g[rows, col])

    def vmm_moments(self, volts, gate, *, reverse, lines=None):
        assert volts.dtype == np.float32
        g = self.g
        if lines is not None:
            g = g * (lines if self.gate_axis == "col" else lines[:, None])
        mean = (volts @ (g.T if reverse else g)).astype(np.float32)
        return mean, np.zeros_like(mean)

    def sample(self, row, col, volts, gate, rate, count):
        return np.full(count, self.g[row, col] * volts)

    def sweep(self, row, col, volts, dwell, gate, compliance, *, began=None):
        self.swept.append((self.clock.now, [round(float(v), 3) for v in volts], round(gate, 3)))
        return np.clip(volts * 1e-3, -compliance, compliance)


def revision_of(number: int) -> dict[str, object]:
    """Return what a :class:`Bench` of that revision of the protocol is made with."""
    return {"revision": number, "supports": supported(number, ())}


class Bench:
    """The board, its chip, and a wall clock that is set by hand."""

    def __init__(self, rows: int = ROWS, cols: int = COLS, gate_axis: str = "col", **spec: object) -> None:
        self.clock = SimClock()
        self.chip = NotebookChip(self.clock, rows, cols, gate_axis)
        self.log = BenchLog()
        self.wall = 0.0
        self.board = ArrayBoard(
            "TCPIP0::127.0.0.1::5025::SOCKET",
            self.clock,
            self.log,
            chip=self.chip,  # pyright: ignore[reportArgumentType]
            spec=BoardSpec(rows, cols, gate_axis, **spec),  # pyright: ignore[reportArgumentType]
            wall=lambda: self.wall,
        )

    def now(self, message: bytes) -> bytes:
        """Send and return what is ready without any time passing."""
        self.board.receive(message)
        return self.board.session.take() or b""

    def ask(self, message: bytes) -> bytes:
        """Send and wait for the reply."""
        self.board.receive(message)
        return self.board.wait_for_reply() or b""


def block(payload: bytes) -> bytes:
    length = str(len(payload)).encode()
    return b"#%d%b" % (len(length), length) + payload


def pulse_map(rectangle: bytes, volts, gate, count, width) -> bytes:
    _, nrows, _, ncols = map(int, rectangle.split(b","))
    planes = [np.broadcast_to(np.asarray(p), (nrows, ncols)) for p in (volts, gate, count, width)]
    kinds = ("<i2", "<i2", "<u2", "<u4")
    payload = b"".join(p.astype(k).tobytes() for p, k in zip(planes, kinds, strict=True))
    return b"PULS:MAP " + rectangle + b"," + block(payload)


def unblock(reply: bytes) -> bytes:
    digits = reply[1] - 48
    length = int(reply[2 : 2 + digits])
    assert reply[2 + digits + length :] == b"\n"
    return reply[2 + digits : 2 + digits + length]
