"""Values of the chip's lines on the board's lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def placed(values: NDArray[Any], lines: NDArray[np.intp], size: int) -> NDArray[Any]:
    """Put ``values`` [..., chip lines] on their board lines, zero elsewhere."""
    board = np.zeros((*values.shape[:-1], size), dtype=values.dtype)
    board[..., lines] = values
    return board
