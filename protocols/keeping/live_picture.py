"""A picture of a long step while it lasts, for a person to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .storage import StorageError, replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WATCH_SECONDS = 10.0


class LivePicture:
    """Draws ``live_<step>.png`` into a run's folder, at most every ``WATCH_SECONDS``; says where it is once.

    Parameters
    ----------
    directory : folder of the run; ``None`` draws nothing
    quiet : do not say where the picture is
    """

    def __init__(self, directory: Path | None, *, quiet: bool = False) -> None:
        self._directory, self._quiet = directory, quiet
        self._drawn = time.monotonic()

    def show(self, step_id: str, draw: Callable[[], Figure], *, last: bool = False) -> None:
        """Draw how a step stands; a picture that cannot be written is no reason to end a measurement.

        With ``last`` one that was drawn before is brought to how the step ended, however short ago that was.
        """
        now = time.monotonic()
        if self._directory is None:
            return
        path = self._directory / f"live_{step_id}.png"
        if now - self._drawn < WATCH_SECONDS and not (last and path.exists()):
            return
        from ...analysis.plots.plots import png_bytes

        first, self._drawn = not path.exists(), now
        with suppress(StorageError):
            replace_file(path, png_bytes(draw()))
        if first and not self._quiet:
            print(f"{step_id}: watch {path}", file=sys.stderr)
