"""A trained state in two files that outlive the run: tensors as safetensors, and in JSON what they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError
from ..keeping.storage import replace_file
from .trainer import ArrayTrainer

FORMAT = 1


def save_checkpoint(path: Path, trainer: ArrayTrainer, *, chip: str) -> None:
    """Write ``path``.safetensors and ``path``.json: weights as last read, the rule's and the optimiser's memory.

    Parameters
    ----------
    chip : its id; the checkpoint belongs to this chip
    """
    from safetensors.numpy import save

    tensors = {name: np.array(value, order="C") for name, value in trainer.arrays().items()}
    tensors["conductance"] = trainer.weights.conductance.copy()
    replace_file(path.with_suffix(".safetensors"), save(tensors))
    replace_file(path.with_suffix(".json"), (json.dumps(_identity(trainer, chip), indent=2) + "\n").encode())


def load_checkpoint(path: Path, trainer: ArrayTrainer, *, chip: str) -> None:
    """Let ``trainer`` go on from a checkpoint of the same chip and model; the weights are read from the chip.

    Raises
    ------
    RefusedError
        When a file is missing or damaged, or belongs to another chip, model or rule.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        said: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        tensors: dict[str, NDArray[Any]] = load(path.with_suffix(".safetensors").read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise RefusedError(f"checkpoint {path} cannot be read ({error}): give the path without its suffix") from error
    mine = _identity(trainer, chip)
    for key in ("format", "chip", "rule", "layers"):
        if said.get(key) != mine[key]:
            raise RefusedError(
                f"checkpoint {path.name} is of another {'model' if key == 'layers' else key}: it has "
                f"{said.get(key)!r}, this is {mine[key]!r}; nothing was changed"
            )
    tensors.pop("conductance", None)
    trainer.restore(tensors)


def _identity(trainer: ArrayTrainer, chip: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "chip": chip,
        "rule": type(trainer.rule).__name__,
        "layers": [str(tile) for tile in trainer.weights.plan.tiles],
        "steps": trainer.steps,
        "optimiser": type(trainer.optimiser).__name__,
    }
