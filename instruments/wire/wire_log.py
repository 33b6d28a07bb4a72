"""The wire log: every message of every instrument with its time, in a file that a person reads.

One line a message: seconds since 1970, instrument, direction (``>`` sent, ``<`` received, ``!`` what went wrong,
``*`` opened), and the message as it was, bytes that are no text as ``\\xNN``, a block as its length and CRC-32. A line
is written before anything else happens, so that the last one before a crash is there.
"""

from __future__ import annotations

import io
import re
import time
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...common.errors import RefusedError
from .wire_text import brief

if TYPE_CHECKING:
    from .ports import Port

ROTATE_BYTES = 16 << 20
KEPT = 4
_SHOWN = 2000
_LINE = re.compile(r"(\d+\.\d+) (\S+) ([><!*]) (.*)")
_BLOCK = re.compile(rb"#([1-9])")


class WireLog:
    """A file that grows by a line a message; at ``rotate`` bytes it becomes ``FILE.1``, and ``kept`` such are kept.

    Parameters
    ----------
    path : Path
        What is there already is kept, and added to.

    Raises
    ------
    RefusedError
        The file cannot be written.
    """

    def __init__(self, path: Path | str, *, rotate: int = ROTATE_BYTES, kept: int = KEPT) -> None:
        self.path = Path(path)
        self._rotate, self._kept = rotate, kept
        self.trouble = ""
        """Why the log ended early, empty while it goes on: a full disk must not end a run."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise RefusedError(f"the wire log {self.path} cannot be written: {error.strerror or error}") from error

    def _open(self) -> None:
        self._file = io.FileIO(self.path, "ab")
        self._size = self._file.tell()

    def write(self, name: str, direction: str, message: bytes) -> None:
        """Add a line; never raises."""
        line = b"%.6f %s %s %s\n" % (time.time(), name.encode("utf-8"), direction.encode("ascii"), _readable(message))
        try:
            self._file.write(line)
            self._size += len(line)
            if self._size >= self._rotate:
                self._turn_over()
        except (OSError, ValueError) as error:
            self.trouble = self.trouble or str(error)

    def _turn_over(self) -> None:
        self._file.close()
        for number in range(self._kept, 0, -1):
            older = self.path if number == 1 else numbered(self.path, number - 1)
            if older.exists():
                older.replace(numbered(self.path, number))
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TracedPort:
    """A port whose traffic is written down; nothing of it is there when nothing is."""

    def __init__(self, port: Port, wire_log: WireLog, name: str) -> None:
        self._port = port
        self._log = wire_log
        self._name = name.replace(" ", "_")

    @property
    def half_sent(self) -> bool:
        """Whether a message has left in part."""
        return self._port.half_sent

    @half_sent.setter
    def half_sent(self, half: bool) -> None:
        self._port.half_sent = half

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._log.write(self._name, ">", data)
        try:
            self._port.write(data)
        except BaseException as error:
            self._tell(error)
            raise

    def read_line(self) -> bytes:
        """Read up to and with the terminator."""
        try:
            data = self._port.read_line()
        except BaseException as error:
            self._tell(error)
            raise
        self._log.write(self._name, "<", data)
        return data

    def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes."""
        try:
            data = self._port.read_exactly(count)
        except BaseException as error:
            self._tell(error)
            raise
        self._log.write(self._name, "<", data)
        return data

    def set_timeout(self, seconds: float) -> None:
        """Bound every read from now on [s]."""
        self._port.set_timeout(seconds)

    def surplus(self) -> bool:
        """Return whether bytes have arrived that nobody has read."""
        return self._port.surplus()

    def clear(self) -> bool:
        """Throw away what is on its way."""
        self._log.write(self._name, "*", b"device clear")
        return self._port.clear()

    def _tell(self, error: BaseException) -> None:
        self._log.write(self._name, "!", (brief(error) or type(error).__name__).encode("utf-8", "replace"))


_current: ContextVar[WireLog | None] = ContextVar("wire_log", default=None)
_all: list[WireLog] = []


@contextmanager
def tracing(trace: WireLog | Path | str | None) -> Generator[None]:
    """Write down, in a file or a log, the traffic of instruments opened in the body, as long as they are open.

    None changes nothing: what :func:`trace_all` began goes on.
    """
    if trace is None:
        yield
        return
    token = _current.set(trace if isinstance(trace, WireLog) else WireLog(trace))
    try:
        yield
    finally:
        _current.reset(token)


def trace_all(path: Path | str | None) -> None:
    """Write down the traffic of every instrument this process opens from now on; None: of none."""
    _all[:] = [] if path is None else [WireLog(path)]


def current_log() -> WireLog | None:
    """Return where the traffic of an instrument that is opened now is written down."""
    return _current.get() or (_all[0] if _all else None)


def traced(port: Port, name: str, wire_log: WireLog | None) -> Port:
    """Return ``port``, its traffic written down when somebody wants it."""
    if wire_log is None:
        return port
    wire_log.write(name.replace(" ", "_"), "*", b"opened")
    return TracedPort(port, wire_log, name)


def numbered(path: Path, number: int) -> Path:
    """Return the name of the ``number``-th file before the present one."""
    return path.with_name(f"{path.name}.{number}")


def _readable(message: bytes) -> bytes:
    """Return a message in one line: blocks by length and checksum, other bytes as Python writes them."""
    found = _BLOCK.search(message) if b"#" in message else None
    if found is None:
        return repr(message.rstrip(b"\r\n\0"))[2:-1].encode("ascii")
    head = message[: found.start()]
    start = found.end() + int(found[1])
    digits = message[found.end() : start]
    if not digits.isdigit():
        return repr(message.rstrip(b"\r\n\0"))[2:-1].encode("ascii")
    end = start + int(digits)
    payload = memoryview(message)[start:end]
    part = "" if len(payload) == int(digits) else f" of which {len(payload)} here"
    block = f"<block {int(digits)} bytes{part}, crc32 {zlib.crc32(payload):08x}>"
    tail = message[end:]
    return b"%s%s%s" % (repr(head)[2:-1].encode("ascii"), block.encode("ascii"), _readable(tail) if tail else b"")


# -- reading it ------------------------------------------------------------------------------------------------------


class Traced(NamedTuple):
    """One line of a wire log: ``seconds`` since 1970, ``instrument``, ``direction``, ``message``."""

    seconds: float
    instrument: str
    direction: str
    message: str


def read_log(path: Path | str, *, instrument: str | None = None, kept: int = 99) -> Iterator[Traced]:
    """Yield the lines of a wire log, the files it turned over before it first.

    Raises
    ------
    RefusedError
        There is no such file, or it is no wire log.
    """
    path = Path(path)
    files = [numbered(path, number) for number in range(kept, 0, -1)] + [path]
    there = [file for file in files if file.is_file()]
    if not path.is_file():
        raise RefusedError(f"{path} is no wire log: name a file that --trace has written")
    for file in there:
        with file.open(encoding="utf-8", errors="backslashreplace") as lines:
            for number, line in enumerate(lines, 1):
                match = _LINE.fullmatch(line.rstrip("\n")[:_SHOWN])
                if match is None:
                    if line.endswith("\n"):
                        raise RefusedError(f"{file}, line {number}: not a line of a wire log")
                    continue  # the last one, cut off by the end of the process
                if instrument is None or match[2] == instrument:
                    yield Traced(float(match[1]), match[2], match[3], match[4])
