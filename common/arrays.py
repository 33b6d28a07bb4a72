"""Names for kinds of arrays, so that a signature says what an array holds and not how numpy spells it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
NamedArrays = dict[str, NDArray[Any]]
