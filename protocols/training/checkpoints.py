"""A trained state in two files that outlive the run: tensors as safetensors, and in JSON what they belong to.

One digest binds the two: it is taken of the tensors and of everything the JSON says, and checked before anything is
taken up. A save that ends anywhere, by a kill or a lost supply, leaves this checkpoint or the one before it.
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
from ..keeping.storage import json_text, replace_file, writing
from .convert import writer_of
from .optimizer import MEASURED, ArrayOptimizer
from .trainer import ArrayTrainer

FORMAT = 2
"""Format 1 had no digest and did not say its run: it is refused, for damage could not be noticed."""

_NEXT = ".next.safetensors"
_COMPARED = ("chip", "rule", "optimiser", "layers", "host")
_NAMES = {"layers": "model", "host": "model on the host"}
_OF_A_CHIP = frozenset({"chip", "layers"})
# What comes with a first step or a start, or is a number of the checkpoint's own.
_LOOSE = ("optimiser.", "groups", "scale.", "weight.", MEASURED)

Training = ArrayTrainer | ArrayOptimizer


def save_checkpoint(path: Path, training: Training, *, chip: str, run: Run | None = None) -> None:
    """Write ``path``.safetensors and ``path``.json: what a training goes on from.

    That is the memory of rule and optimiser, its groups with their learning rates, the parameters on the host, and the
    conductances and weights as last read.

    Parameters
    ----------
    training : a trainer, or in a loop of your own the ``ArrayOptimizer``
    chip : its id; the checkpoint belongs to this chip
    run : whose step it is of
    """
    from safetensors.numpy import save

    own = _optimizer(training)
    if own.weights.unsure:
        raise RefusedError(f"this training cannot be kept: {own.weights.unsure}")
    tensors = {name: np.array(value, order="C") for name, value in own.arrays().items()}
    tensors["conductance"] = own.weights.conductance.copy()
    tensors |= {f"weight.{r.name}": own.weights.weights(r.name) for r in own.weights.plan.requests}
    content = save(tensors)
    told = {
        **_identity(own, chip),
        "run": run.id if run is not None else "",
        "step": run.step_id if run is not None else "",
        "steps": own.steps,
    }
    # The JSON decides which tensors are meant: until it is there the old ones are in their place, the new beside them.
    replace_file(path.with_suffix(_NEXT), content)
    sealed = {**told, "digest": _digest(told, content)}
    replace_file(path.with_suffix(".json"), (json_text(sealed, indent=2) + "\n").encode())
    with writing(path):
        path.with_suffix(_NEXT).replace(path.with_suffix(".safetensors"))


def load_checkpoint(path: Path, training: Training, *, chip: str, run: Run | None = None, write: bool = False) -> None:
    """Let ``training`` go on from a checkpoint of the same chip and model; the chip is read, and not changed.

    Parameters
    ----------
    write : write the weights of the checkpoint onto the cells, for a chip that moved since, or another one; the rule
        then begins anew on what it wrote, while the optimiser, its learning rate and the host go on
    run : the checkpoint must be of this run and the step it is in; without one that is not asked

    Raises
    ------
    RefusedError
        When a file is missing or damaged, the two are not of one save, or they belong to another run, step, chip,
        model, optimiser or rule: nothing was changed.
    """
    said, tensors = _read(path)
    own = _optimizer(training)
    mine: dict[str, Any] = dict(_identity(own, chip))
    compared = [key for key in _COMPARED if not (write and key in _OF_A_CHIP)]
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
    wanted = {name.removeprefix("weight."): tensors.pop(name) for name in list(tensors) if name.startswith("weight.")}
    if write:
        # How far the cells of another chip moved is its own.
        tensors = {n: v for n, v in tensors.items() if not n.startswith("rule.") and n != "travelled"}
        tensors["travelled"] = own.travelled
        mine_at = {r.name: (r.inputs, r.outputs) for r in own.weights.plan.requests}
        wrong = "" if mine_at == {n: v.shape for n, v in wanted.items()} else f"its layers are {_sizes(wanted)}"
    else:
        wrong = ""
    wrong = wrong or _unfit({n: v for n, v in own.arrays().items() if not (write and n.startswith("rule."))}, tensors)
    if wrong:
        raise RefusedError(f"checkpoint {path.name} does not fit this model: {wrong}; nothing was changed")
    try:
        own.check_groups(tensors)
        if write:
            own.remember(tensors, rule=False)
            own.write(writer_of(own.rule, own.weights.array.spec), wanted)
        else:
            own.restore(tensors)
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
    if not isinstance(loaded, dict):
        raise RefusedError(f"checkpoint {path}: {path.name}.json holds no record: it was changed, or is another file")
    said = cast("dict[str, Any]", loaded)
    if said.get("format") != FORMAT:
        raise RefusedError(
            f"checkpoint {path} is of format {said.get('format')!r}, this xbarlab reads format {FORMAT}: earlier ones "
            "had no digest, so that damage could not be noticed; save it anew"
        )
    noted, kept, left = said.pop("digest", None), path.with_suffix(".safetensors"), path.with_suffix(_NEXT)
    content = read_bytes(left, "checkpoint", most=ARRAYS_MAX) if left.is_file() else b""
    if noted != _digest(said, content):
        content = read_bytes(kept, "checkpoint", most=ARRAYS_MAX)
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


def _optimizer(training: Training) -> ArrayOptimizer:
    return training.optimiser if isinstance(training, ArrayTrainer) else training


def _sizes(wanted: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {' × '.join(map(str, value.shape))}" for name, value in wanted.items())


def _identity(trainer: ArrayOptimizer, chip: str) -> dict[str, Any]:
    host = {name: list(value.shape) for name, value in sorted(trainer.arrays().items()) if name.startswith("model.")}
    return {
        "format": FORMAT,
        "chip": chip,
        "rule": type(trainer.rule).__name__,
        "layers": [str(tile) for tile in trainer.weights.plan.tiles],
        "host": host,
        "optimiser": type(trainer.inner).__name__,
    }


def _unfit(mine: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]]) -> str:
    """Return what of the arrays is missing or of another shape; an optimiser's come with its first step."""
    for name, value in mine.items():
        if name.startswith(_LOOSE):
            continue
        if name not in found:
            return f"{name} is missing"
        if found[name].shape != value.shape and not name.startswith("rule."):  # a rule's come with its start
            return f"{name} has shape {found[name].shape} instead of {value.shape}"
    return ""
