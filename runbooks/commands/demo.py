"""What ``xbarlab demo`` shows on mock benches: a first day at an array board, one at a probe station, a training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...common.progress import ProgressBar
from ...protocols.keeping.run import claim_folder
from ..runner.runner import Outcome, new_folder, run_runbook


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
            "pulses.read_every": 10,
            "schemes.cells": "1,1",
            "schemes.among": "0:3,0:3",
            "disturb.cells": "1,1",
            "disturb.pulses": 1000,
            "yield.cells": "0:3,0:3",
        },
    ),
    Part(
        "training",
        "train_convlstm_sequence",
        {
            "form.cells": "0:96,0:32",
            "yield.cells": "0:96,0:32",
            "convlstm.copies": 1,
            "convlstm.epochs": 1,
            "convlstm.train_examples": 3000,
            "convlstm.test_examples": 500,
            "convlstm.checkpoint_every": 10,
            "convlstm.evaluations": 1,
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
    outcomes: list[Outcome] = []
    with _compiling_meanwhile() as compiled:
        for number, part in enumerate(PARTS, start=1):
            if not quiet:
                print(f"Part {number} of {len(PARTS)}: {part.runbook}", flush=True)
            outcomes.append(
                run_runbook(
                    part.runbook,
                    out=folder / part.folder,
                    seed=seed,
                    check=check,
                    overrides=part.overrides,
                    quiet=quiet,
                )
            )
            with nullcontext() if quiet else ProgressBar("compiling the physics of the next part's chip"):
                compiled.wait()
    return outcomes


@contextmanager
def _compiling_meanwhile() -> Generator[subprocess.Popen[bytes]]:
    """Compile the second chip's physics on the second core while the first part runs; a no-op once it has been."""
    command = [sys.executable, "-m", "xbarlab.mockhw.bench.warm_up", "tio2_passive"]
    helper = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield helper
    finally:
        helper.terminate()
        helper.wait()
