"""A picture of a long step while it lasts, for a person to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .storage import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WATCH_SECONDS = 10.0
DRAWN_SHARE = 0.05
"""Most of a step's time that its pictures may take."""


class LivePicture:
    """Draws ``live_<step>.png`` into a run's folder now and then; says where it is once.

    That is at most every ``WATCH_SECONDS``, and for a twentieth of the time.

    Parameters
    ----------
    directory : folder of the run; ``None`` draws nothing
    quiet : do not say where the picture is
    """

    def __init__(self, directory: Path | None, *, quiet: bool = False) -> None:
        self._directory, self._quiet = directory, quiet
        self._drawn, self._took = time.monotonic(), 0.0

    def show(self, step_id: str, draw: Callable[[], Figure], *, last: bool = False) -> None:
        """Draw how a step stands; a picture that cannot be drawn or written is no reason to end a measurement.

        With ``last`` one that was drawn before is brought to how the step ended, however short ago that was.
        """
        begun = time.monotonic()
        if self._directory is None:
            return
        path = self._directory / f"live_{step_id}.png"
        early = begun - self._drawn < max(WATCH_SECONDS, self._took / DRAWN_SHARE)
        if early and not (last and path.exists()):
            return
        from ...analysis.plots.plots import png_bytes

        first = not path.exists()
        with suppress(Exception):
            replace_file(path, png_bytes(draw()))
        self._drawn = time.monotonic()
        self._took = self._drawn - begun
        if first and not self._quiet:
            print(f"{time.strftime('%H:%M:%S')} {step_id}: watch {path}", file=sys.stderr, flush=True)
