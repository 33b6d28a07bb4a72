"""Boards do everything once before the first client comes: clients have time-outs, compilers have none."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

from ..bench.bench import MockBench
from ..bench.warm_up import notice

_warm: Final[set[str]] = set()
"""Profiles whose physics this process has run already."""


def warm_up_boards(bench: MockBench) -> None:
    """Let a bench of the same boards, on a chip of its own, do everything once that compiled code does.

    Clients on sockets have time-outs: what is compiled while the first of them waits costs it its reply.
    """
    if not any(instrument.kind == "array_board" for instrument in bench.instruments.values()):
        return
    name = bench.content.chip.profile
    if name in _warm:
        return
    chip = bench.content.chip.model_copy(update={"state": None})
    scratch = MockBench(bench.content.model_copy(update={"chip": chip, "faults": ()}), bench.path, seed=0)
    with notice():
        for board in scratch.instruments.values():
            for message in _everything(scratch.chip.rows, scratch.chip.cols):
                board.receive(message)
                while board.wait_for_reply() is not None:
                    pass
    _warm.add(name)


def _everything(rows: int, cols: int) -> Iterator[bytes]:
    """Yield messages that make a board do each of its actions; those it has not got are refused and do no harm."""

    def block(*parts: bytes) -> bytes:
        payload = b"".join(parts)
        size = b"%d" % len(payload)
        return b"#%d%b%b" % (len(size), size, payload)

    def lines(count: int) -> bytes:
        return np.full(count, 600, dtype="<i2").tobytes()

    yield b"*RST;:OUTP ON\n"
    for amplitude in (26000, 13000, -13000):
        yield b"PULS:MAP 0,1,0,1," + block(struct.pack("<hhHI", amplitude, 13000, 2, 1000)) + b";*OPC?\n"
    for average in (1, 4):
        yield b"SENS:AVER %d;:READ:MAP? 0,2,0,%d\n" % (average, cols)
    yield b"READ:REP? 0,1,0,1,10\n"
    yield b"SAMP? 0,0,0.1,5,1000,10\n"
    yield b"SWE:RUN 0,0,1e-3,1e-3," + block(np.array([0.5, -0.5, 1.0, 1.0], dtype="<f4").tobytes()) + b";*OPC?\n"
    for batch in (1, 2, 300):
        yield b"VMM:FORW? %d," % batch + block(batch * lines(rows)) + b"\n"
        yield b"VMM:REV? %d," % batch + block(batch * lines(cols)) + b"\n"
    update = b"UPD:OUT 2,1us,1.5,1.5,1,3," + block(lines(rows)) + b"," + block(lines(cols))
    yield update + b";*OPC?\n"
    target = block(np.array([1e-4], dtype="<f4").tobytes())
    yield b"PROG:VER 0,1,0,1,1e-5,2,1us,1.5,1,1.5,0.1,1,1.5,0.1,3," + target + b";*OPC?\n"
    yield b"OUTP OFF\n"
