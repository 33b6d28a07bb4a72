"""Messages that make an array board do each of its actions, in other sizes than its warm-up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def _block(payload: bytes) -> bytes:
    size = b"%d" % len(payload)
    return b"#%d%b%b" % (len(size), size, payload)


def later(rows: int, cols: int) -> Iterator[bytes]:
    """Yield the messages."""
    n = rows * cols
    planes = [np.full(n, value, kind).tobytes() for value, kind in ((20000, "<i2"), (9000, "<i2"), (3, "<u2"))]
    width = np.full(n, 500, "<u4").tobytes()
    where = b"0,%d,0,%d" % (rows, cols)
    yield b"OUTP ON;:PULS:MAP " + where + b"," + _block(b"".join([*planes, width])) + b";*OPC?;:SYST:ERR?\n"
    long = [planes[0], planes[1], np.full(n, 100000, "<u4").tobytes(), width]
    yield b"PULS:MAP:LONG " + where + b"," + _block(b"".join(long)) + b";*OPC?;:SYST:ERR?\n"
    yield b"SENS:AVER 2;RANG 1e-4;:READ:MAP? " + where + b";:SYST:ERR?\n"
    yield b"READ:REP? 0,3,0,%d,100;:SYST:ERR?\n" % cols
    yield b"SAMP? 1,1,-0.1,3,500,100;:SYST:ERR?\n"
    points = np.concatenate((np.linspace(0.0, 2.0, 50), np.full(50, 2.0))).astype("<f4").tobytes()
    yield b"SWE:RUN 1,1,1e-4,1e-3," + _block(points) + b";*OPC?;:SYST:ERR?\n"
    for batch in (1, 7, 1000):
        codes = np.ones(batch * rows, "<i2").tobytes()
        yield b"VMM:FORW? %d," % batch + _block(codes) + b";:SYST:ERR?\n"
        yield b"VMM:REV? %d," % batch + _block(codes[: 2 * batch * cols]) + b";:SYST:ERR?\n"
    masks = np.packbits(np.arange(rows) < 5, bitorder="little").tobytes()
    masks += np.packbits(np.arange(cols) < 3, bitorder="little").tobytes()
    table = bytes([0, 255]) + np.array([2], "<u4").tobytes()
    yield b"VMM:PROD? 1," + _block(table) + b"," + _block(masks) + b"," + _block(bytes(20)) + b";:SYST:ERR?\n"
    x, d = np.full(rows, -9000, "<i2").tobytes(), np.full(cols, 9000, "<i2").tobytes()
    yield b"UPD:OUT 5,1us,2,2,1,4," + _block(x) + b"," + _block(d) + b";*OPC?;:SYST:ERR?\n"
    targets = np.full(6, 5e-5, "<f4").tobytes()
    yield b"PROG:VER 0,2,0,3,1e-6,5,1us,2,1,2,0.1,1,2,0.1,4," + _block(targets) + b";*OPC?;:SYST:ERR?\n"
