"""Packages of strangers, as pip leaves them in a folder: a module and its metadata."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent


def install(folder: Path, name: str, entry_points: str, version: str = "1.0", **modules: str) -> Path:
    """Write a distribution into ``folder``, which belongs on ``sys.path``; ``modules`` are texts by module name."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(dedent(entry_points), encoding="utf-8")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(dedent(text), encoding="utf-8")
    return folder
