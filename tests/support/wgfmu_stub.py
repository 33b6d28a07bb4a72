"""Builds ``wgfmu_stub.c`` by ``cc`` and ties its functions to an object that has them."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).with_name("wgfmu_stub.c")
_FORWARD = re.compile(r"FORWARD\((\w+),\s*\(([^)]*)\)", re.DOTALL)
_TYPES: dict[str, Any] = {
    "int": ctypes.c_int, "double": ctypes.c_double, "int *": ctypes.POINTER(ctypes.c_int),
    "double *": ctypes.POINTER(ctypes.c_double), "char *": ctypes.POINTER(ctypes.c_char),
    "const char *": ctypes.c_char_p,
}  # fmt: skip


def signatures() -> dict[str, list[str]]:
    """Return the C types of every function's parameters, as the C file has them."""
    found: dict[str, list[str]] = {}
    for name, parameters in _FORWARD.findall(SOURCE.read_text(encoding="utf-8")):
        if name == "name":
            continue
        words = [] if parameters.strip() == "void" else [one.strip() for one in parameters.split(",")]
        found[name] = [re.sub(r"\w+$", "", one).strip() for one in words]
    return found


def build(folder: Path) -> Path:
    """Return the library, built in ``folder``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = folder / "libwgfmu.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(library), str(SOURCE)], check=True)
    return library


def tie(library: Path, to: Any) -> list[Any]:
    """Let every function of the library hand its calls on to the method of ``to``; keep what is returned alive."""
    loaded = ctypes.CDLL(str(library))
    kept: list[Any] = []
    for name, types in signatures().items():
        kind = ctypes.CFUNCTYPE(ctypes.c_int, *(_TYPES[one] for one in types))
        callback = kind(getattr(to, f"WGFMU_{name}"))
        getattr(loaded, f"register_{name}")(callback)
        kept.append(callback)
    return kept
