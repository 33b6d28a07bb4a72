"""Which models stand on a chip: kept in its account, so that a later session says what it writes over."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TypedDict
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ...instruments.capabilities import CrossbarArray
from ...instruments.chip.chip_facts import facts_of
from .layers.weight_mapping import FloorPlan

log = logging.getLogger(__name__)

_FACT, _KEY = "models", "on_chip"
_SESSION = uuid4().hex


class _Model(TypedDict):
    date: str
    session: str
    layers: list[str]
    cells: str  # one bit each [rows, cols], in hexadecimal


def note_model(array: CrossbarArray, floor: FloorPlan) -> str:
    """Keep that a model is about to be written; return what it is written over, "" where nothing is known.

    Of a model of another session it is said in the log, too. An array without an account knows of none.
    """
    facts = facts_of(array)
    if facts is None:
        return ""
    known = facts.fact(_FACT, _KEY)
    models: list[_Model] = [] if known is None else json.loads(known.content)
    met = [one for one in models if (_cells(one, floor) & floor.used).any()]
    said = "; ".join(
        f"layers {', '.join(one['layers'])}, written {one['date']} UTC, {int((_cells(one, floor) & floor.used).sum())} "
        f"of whose {int(_cells(one, floor).sum())} cells are used again"
        for one in met
    )
    said = f"written over a model that stood there: {said}" if said else ""
    if any(one["session"] != _SESSION for one in met):
        log.warning("%s", said)
    new: _Model = {
        "date": f"{datetime.now(UTC):%F %T}",
        "session": _SESSION,
        "layers": [one.name for one in floor.requests],
        "cells": np.packbits(floor.used).tobytes().hex(),
    }
    facts.keep_fact(_FACT, _KEY, json.dumps([*(one for one in models if one not in met), new]))
    return said


def _cells(model: _Model, floor: FloorPlan) -> NDArray[np.bool_]:
    size = floor.rows * floor.cols
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(model["cells"]), np.uint8), count=size)
    return bits.astype(np.bool_).reshape(floor.rows, floor.cols)
