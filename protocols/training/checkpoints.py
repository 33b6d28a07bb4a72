"""A trained state in two files that outlive the run: tensors as safetensors, and in JSON what they belong to.

One digest binds the two: it is taken of the tensors and of everything the JSON says, and checked before anything is
taken up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError
from ...common.files import ARRAYS_MAX, read_bytes, read_json
from ..keeping.run import Run
from ..keeping.storage import json_text, replace_file
from .trainer import ArrayTrainer

FORMAT = 2
"""Format 1 had no digest and did not say its run: it is refused, for damage could not be noticed."""

_COMPARED = ("chip", "rule", "optimiser", "layers", "host")
_NAMES = {"layers": "model", "host": "model on the host"}


def save_checkpoint(path: Path, trainer: ArrayTrainer, *, chip: str, run: Run | None = None) -> None:
    """Write ``path``.safetensors and ``path``.json: weights as last read, the rule's and the optimiser's memory.

    Parameters
    ----------
    chip : its id; the checkpoint belongs to this chip
    run : whose step it is of
    """
    from safetensors.numpy import save

    tensors = {name: np.array(value, order="C") for name, value in trainer.arrays().items()}
    tensors["conductance"] = trainer.weights.conductance.copy()
    content = save(tensors)
    told = {
        **_identity(trainer, chip),
        "run": run.id if run is not None else "",
        "step": run.step_id if run is not None else "",
        "steps": trainer.steps,
    }
    replace_file(path.with_suffix(".safetensors"), content)
    sealed = {**told, "digest": _digest(told, content)}
    replace_file(path.with_suffix(".json"), (json_text(sealed, indent=2) + "\n").encode())


def load_checkpoint(path: Path, trainer: ArrayTrainer, *, chip: str, run: Run | None = None) -> None:
    """Let ``trainer`` go on from a checkpoint of the same chip and model; the weights are read from the chip.

    Parameters
    ----------
    run : the checkpoint must be of this run and the step it is in; without one that is not asked

    Raises
    ------
    RefusedError
        When a file is missing or damaged, the two are not of one save, or they belong to another run, step, chip,
        model, optimiser or rule: nothing was changed.
    """
    said, tensors = _read(path)
    mine: dict[str, Any] = dict(_identity(trainer, chip))
    compared = list(_COMPARED)
    if run is not None:
        mine |= {"run": run.id, "step": run.step_id}
        compared = ["run", "step", *compared]
    for key in compared:
        if said.get(key) != mine[key]:
            raise RefusedError(
                f"checkpoint {path.name} is of another {_NAMES.get(key, key)}: it has {said.get(key)!r}, this is "
                f"{mine[key]!r}; nothing was changed"
            )
    tensors.pop("conductance", None)
    wrong = _unfit(trainer.arrays(), tensors)
    if wrong:
        raise RefusedError(f"checkpoint {path.name} does not fit this model: {wrong}; nothing was changed")
    try:
        trainer.restore(tensors)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError(
            f"checkpoint {path.name} could not be taken up ({type(error).__name__}: {error}): make the trainer anew "
            "before it is used"
        ) from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what the two files hold that belong together; refuse any others."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    loaded: Any = read_json(path.with_suffix(".json"), "checkpoint")
    content = read_bytes(path.with_suffix(".safetensors"), "checkpoint", most=ARRAYS_MAX)
    if not isinstance(loaded, dict):
        raise RefusedError(f"checkpoint {path}: {path.name}.json holds no record: it was changed, or is another file")
    said = cast("dict[str, Any]", loaded)
    if said.get("format") != FORMAT:
        raise RefusedError(
            f"checkpoint {path} is of format {said.get('format')!r}, this xbarlab reads format {FORMAT}: earlier ones "
            "had no digest, so that damage could not be noticed; save it anew"
        )
    noted = said.pop("digest", None)
    if noted != _digest(said, content):
        raise RefusedError(
            f"checkpoint {path} does not have the digest noted in it: one of its two files was changed or damaged, or "
            "they are of two saves; nothing was changed"
        )
    try:
        return said, load(content)
    except SafetensorError as error:
        raise RefusedError(f"checkpoint {path} cannot be read ({error})") from error


def _digest(told: Mapping[str, Any], tensors: bytes) -> str:
    return hashlib.sha256(json_text(dict(sorted(told.items()))).encode() + b"\n" + tensors).hexdigest()


def _identity(trainer: ArrayTrainer, chip: str) -> dict[str, Any]:
    host = {name: list(value.shape) for name, value in sorted(trainer.arrays().items()) if name.startswith("model.")}
    return {
        "format": FORMAT,
        "chip": chip,
        "rule": type(trainer.rule).__name__,
        "layers": [str(tile) for tile in trainer.weights.plan.tiles],
        "host": host,
        "optimiser": type(trainer.optimiser).__name__,
    }


def _unfit(mine: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> str:
    """Return what of the arrays is missing or of another shape; an optimiser's come with its first step."""
    for name, value in mine.items():
        if name.startswith("optimiser."):
            continue
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != value.shape and not name.startswith("rule."):  # a rule's come with its start
            return f"{name} has shape {found[name].shape} instead of {value.shape}"
    return ""
