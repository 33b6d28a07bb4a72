"""The board protocol's reference in C: built with ``cc``, behind a socket of this machine, or run over its fuzz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "instruments" / "board" / "reference_c"
COMPILER = shutil.which("cc")
ASAN = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_SIZES = ("-DXB_ROWS_MAX=16", "-DXB_COLS_MAX=8")
_SMALL = ("-DXB_POINTS_MAX=64", "-DXB_BATCH_MAX=8")  # so that a fuzz gets to the bounds
_STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror")


def built(program: str, folder: Path, flags: Sequence[str] = ("-O2",), sources: Path = SOURCES) -> Path:
    """Return ``serve`` or ``fuzz``, built from the library and the step cells."""
    assert COMPILER is not None
    out = folder / program
    files = [*sorted(sources.glob("xb_*.c")), sources / "step_cells.c", sources / f"{program}.c"]
    subprocess.run(
        [
            COMPILER,
            *_STRICT,
            *_SIZES,
            *(_SMALL if program == "fuzz" else ()),
            *flags,
            *map(str, files),
            "-lm",
            "-o",
            str(out),
        ],
        check=True,
    )
    return out


@contextmanager
def serving(program: Path, folder: Path, *, realtime: bool = False, limits: str = "") -> Iterator[Path]:
    """Yield a station file of the board that ``program`` serves."""
    command = [str(program), *(["--realtime"] if realtime else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdin is not None
        assert served.stdout is not None
        port = int(served.stdout.readline())
        station = folder / "reference.station.yaml"
        station.write_text(
            f"instruments:\n  board:\n    type: CrossbarBoard\n    address: TCPIP::127.0.0.1::{port}::SOCKET\n"
            f'    init: {{visalib: "@py"}}\nxbarlab:\n  array: board\n{limits}',
            encoding="utf-8",
        )
        try:
            yield station
        finally:
            served.stdin.close()  # which ends it
            served.wait(timeout=30)
