"""The maker's library ``wgfmu``, found and loaded late; its functions by name, with the types of its header.

The library is its maker's (Windows; installed by the user) and no part of this package. ``bench.yaml@xbarlab`` puts a
mock bench's in its place: an object with the same functions.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....common import plugins
from ....common.errors import RefusedError

NAME = "wgfmu"
_INT, _REAL, _TEXT = ctypes.c_int, ctypes.c_double, ctypes.c_char_p
_INTS, _REALS, _CHARS = ctypes.POINTER(_INT), ctypes.POINTER(_REAL), ctypes.POINTER(ctypes.c_char)

SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "openSession": (_TEXT,),
    "closeSession": (),
    "initialize": (),
    "setTimeout": (_REAL,),
    "getChannelIdSize": (_INTS,),
    "getChannelIds": (_INTS, _INTS),
    "getErrorSize": (_INTS,),
    "getError": (_CHARS, _INTS),
    "treatWarningsAsErrors": (_INT,),
    "setOperationMode": (_INT, _INT),
    "setForceVoltageRange": (_INT, _INT),
    "setMeasureMode": (_INT, _INT),
    "setMeasureCurrentRange": (_INT, _INT),
    "setMeasureEnabled": (_INT, _INT),
    "connect": (_INT,),
    "disconnect": (_INT,),
    "clear": (),
    "createPattern": (_TEXT, _REAL),
    "addVectors": (_TEXT, _REALS, _REALS, _INT),
    "setMeasureEvent": (_TEXT, _TEXT, _REAL, _INT, _REAL, _REAL, _INT),
    "setRangeEvent": (_TEXT, _TEXT, _REAL, _INT),
    "addSequence": (_INT, _TEXT, _REAL),
    "execute": (),
    "abort": (),
    "getStatus": (_INTS, _REALS, _REALS),
    "getMeasureValueSize": (_INT, _INTS, _INTS),
    "getMeasureValues": (_INT, _INT, _INTS, _REALS, _REALS),
}
"""Functions that are used, without their ``WGFMU_``, and what they take; each returns an int."""

_PE_MACHINES = {0x14C: 32, 0x8664: 64, 0xAA64: 64}


def wgfmu_library(chosen: str, *, who: str) -> Any:
    """Return the library, or what ``chosen`` puts in its place.

    Parameters
    ----------
    chosen : str
        ``wgfmu`` (looked for where the system looks), a file, or ``file@backend``.
    who : str
        Begins the refusal.

    Raises
    ------
    RefusedError
        There is none, or it is for another kind of program, or lacks a function; nothing was opened.
    """
    file, at, backend = chosen.rpartition("@")
    if at:
        return plugins.load(plugins.LIBRARIES, backend)(NAME, file)
    path = _found(chosen, who)
    bits, windows = _kind(path)
    mine = 64 if sys.maxsize > 2**32 else 32
    if bits not in (0, mine):
        raise RefusedError(
            f"{who}: the library {path} is for {bits}-bit programs and this Python has {mine} bits: name the "
            f"{mine}-bit one that its maker installs beside it (init: {{library: …}}), or use a {bits}-bit Python"
        )
    if windows and sys.platform != "win32":
        raise RefusedError(
            f"{who}: the library {path} runs on Windows and this is {sys.platform}: library: bench.yaml@xbarlab needs "
            "none"
        )
    try:
        # The header says _stdcall, which in 64 bits is the one convention there is.
        loaded: Any = getattr(ctypes, "WinDLL", ctypes.CDLL)(str(path))
    except OSError as error:
        raise RefusedError(
            f"{who}: the library {path} cannot be loaded ({error}): it needs the VISA library of its maker "
            "(Keysight IO Libraries) beside it"
        ) from error
    for name, takes in SIGNATURES.items():
        function = getattr(loaded, f"WGFMU_{name}", None)
        if function is None:
            raise RefusedError(
                f"{who}: the library {path} has no function WGFMU_{name}: it is another one, or an older one than the "
                "B1530A's instrument library"
            )
        function.argtypes, function.restype = takes, _INT
    return loaded


def _found(chosen: str, who: str) -> Path:
    named = Path(chosen)
    if named.suffix or len(named.parts) > 1:
        if not named.is_file():
            raise RefusedError(f"{who}: library is {chosen!r}, and there is no such file; {_install()}")
        return named
    if chosen != NAME:
        raise RefusedError(f"{who}: library is {chosen!r}: write {NAME}, a file, or bench.yaml@xbarlab")
    found = ctypes.util.find_library(NAME)
    if found is None:
        raise RefusedError(f"{who}: the library {NAME} is not found on this computer; {_install()}")
    return Path(found)


def _install() -> str:
    return (
        "it is the B1530A's instrument library (wgfmu.dll), which its maker gives away and you install on Windows: "
        "then name the file (init: {library: …}); library: bench.yaml@xbarlab needs none"
    )


def _kind(path: Path) -> tuple[int, bool]:
    """Return for how many bits a library is, 0 where that is not seen, and whether it is one of Windows."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            if head[:4] == b"\x7fELF":
                return {1: 32, 2: 64}.get(head[4], 0), False
            if head[:2] == b"MZ":
                file.seek(struct.unpack_from("<I", head, 0x3C)[0])
                start = file.read(6)
                if start[:4] == b"PE\0\0":
                    return _PE_MACHINES.get(struct.unpack("<H", start[4:])[0], 0), True
    except (OSError, struct.error):
        pass  # what it is, loading it tells
    return 0, False
