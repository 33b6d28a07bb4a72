"""What ``xbarlab demo`` shows: a first day at an array board, then one at a probe station, both on mock benches."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..protocols.run import claim_folder
from .runner import Outcome, new_folder, run_runbook


@dataclass(frozen=True)
class Part:
    """A runbook of the demo, in a folder of its own; ``overrides`` make it fit into a minute."""

    folder: str
    runbook: str
    overrides: dict[str, Any] = field(default_factory=dict[str, Any])


PARTS = (
    Part("board", "first_light_1t1r"),
    Part(
        "probe_station",
        "first_light_tio2",
        {
            "form.cells": "0:3,0:3",
            "iv.cells": "0:2,0:3",
            "iv.cycles": 3,
            "pulses.cells": "0:2,0:3",
            "pulses.cycles": 2,
        },
    ),
)


def run_demo(out: Path | None, *, seed: int, check: bool, quiet: bool) -> list[Outcome]:
    """Run every part of the demo and return how each ended.

    Parameters
    ----------
    out : folder for the parts' folders; ``runs/demo-<time>`` by default, one that holds data is refused
    seed : of every chip, and of the host's choices
    check : missed expectations count
    quiet : print nothing
    """
    folder = out or new_folder("demo")
    claim_folder(folder)
    return [
        run_runbook(
            part.runbook,
            out=folder / part.folder,
            seed=seed,
            check=check,
            overrides=part.overrides,
            quiet=quiet,
        )
        for part in PARTS
    ]
