"""Progress a person can see: a bar with the time left, shown only when work lasts longer than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType

SHOW_AFTER = 2.0


class ProgressBar:
    """A bar for ``total`` units of work. ``quiet`` shows nothing; otherwise it appears after two seconds.

    Writes to stderr, so that results on stdout stay clean.
    """

    def __init__(self, label: str, total: float, *, quiet: bool = False) -> None:
        self.label = label
        self.total = total
        self.done = 0.0
        self._quiet = quiet or not sys.stderr.isatty()
        self._started = time.monotonic()
        self._bar: object | None = None
        self._task: object | None = None

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Report ``amount`` more units done."""
        self.update(self.done + amount, note)

    def update(self, done: float, note: str = "") -> None:
        """Report that ``done`` units are done in all."""
        self.done = done
        if self._quiet or time.monotonic() - self._started < SHOW_AFTER:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        if self._bar is None:
            from rich.console import Console

            bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            bar.start()
            self._bar = bar
            self._task = bar.add_task(self.label, total=self.total, note=note)
        bar = self._bar
        assert isinstance(bar, Progress)
        bar.update(self._task, completed=min(done, self.total), note=note)  # pyright: ignore[reportArgumentType]

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()  # pyright: ignore[reportAttributeAccessIssue]
