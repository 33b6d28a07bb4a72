"""How far it is, for a person: a bar on a terminal, a line now and then in a file; nothing of what takes two seconds.

A thread of its own shows it: what takes long often tells nothing by itself. Of what is inside of each other (a step of
a run, units of work in it), the innermost is shown.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .text import duration, printable

if TYPE_CHECKING:
    from rich.progress import Progress

SHOW_AFTER = 2.0
"""Seconds after which anything is shown."""
LINE_EVERY = 25.0
"""Seconds between two lines in a file."""
_REFRESH = 0.25

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silent() -> Generator[None]:
    """Show nothing within the body."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


class ProgressBar:
    """What is being done (a context manager), and how far it is. Written to stderr, so that results stay clean.

    Parameters
    ----------
    label : str
        What is done, ``"form (step 1 of 6)"``.
    total : float, optional
        How many units it is; None where nobody knows: then only the time is shown.
    unit : str
        What is counted, ``"cells"``.
    quiet : bool
        Show nothing.
    """

    def __init__(self, label: str, total: float | None = None, *, unit: str = "", quiet: bool = False) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done, self.note = 0.0, ""
        self.started = time.monotonic()
        self.due = self.started + SHOW_AFTER
        self._quiet = quiet
        self._base: float | None = 0.0

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Report ``amount`` more units done."""
        self.update(self.done + amount, note)

    def update(self, done: float, note: str = "") -> None:
        """Report that ``done`` units are done in all."""
        if self._base is None:
            self._base = max(done - 1.0, 0.0)
        self.done, self.note = done, note

    def skip(self) -> None:
        """Report that one more unit was done by an earlier session: it says nothing of how fast this one is."""
        self.done, self._base = self.done + 1.0, None

    def left(self, now: float) -> float | None:
        """Return how many seconds are left at the pace so far; None where that cannot be said."""
        if self.total is None or self._base is None or self.done <= self._base:
            return None
        return max(self.total - self.done, 0.0) * (now - self.started) / (self.done - self._base)

    def line(self, now: float) -> str:
        """Return how it stands, as a sentence for a file."""
        lasted = f"{duration(now - self.started)} so far"
        if self.total is None:
            return f"{self.label}: {lasted}"
        left = self.left(now)
        told = "time left not known yet" if left is None else f"about {duration(left)} left"
        counted = f"{self.label}: {min(self.done, self.total):,.0f} of {self.total:,.0f} {self.unit}".rstrip()
        return f"{counted}, {lasted}, {told}{f'; {self.note}' if self.note else ''}"

    def __enter__(self) -> Self:
        if not self._quiet and not _SILENT.get():
            _SCREEN.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _SCREEN.leave(self)


class Screen:
    """Where progress is shown: standard error, whatever it is."""

    def __init__(self) -> None:
        self._bars: list[ProgressBar] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._said = 0.0
        self._live: tuple[ProgressBar, Progress] | None = None
        self._aside = 0

    @contextmanager
    def aside(self) -> Generator[None]:
        """Show nothing within the body."""
        with self._changed:
            self._hide()
            self._aside += 1
        try:
            yield
        finally:
            with self._changed:
                self._aside -= 1
                self._changed.notify_all()

    def enter(self, bar: ProgressBar) -> None:
        """Show ``bar`` from now on, when it lasts."""
        with self._changed:
            self._hide()
            self._bars.append(bar)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="xbarlab progress", daemon=True)
                with suppress(RuntimeError):  # at the end of the interpreter there are no new threads
                    self._thread.start()
            self._changed.notify_all()

    def leave(self, bar: ProgressBar) -> None:
        """Show it no longer."""
        with self._changed:
            if bar not in self._bars:
                return
            self._hide()
            self._bars.remove(bar)
            if self._bars:
                self._bars[-1].due = max(self._bars[-1].due, time.monotonic() + SHOW_AFTER)
            self._changed.notify_all()

    def forget(self) -> None:
        """Begin anew: in a forked child, whose parent has the thread and perhaps the lock."""
        self.__init__()

    def _watch(self) -> None:
        with suppress(Exception):  # what cannot be shown ends nothing
            self._watch_on()

    def _watch_on(self) -> None:
        while True:
            with self._changed:
                line, wait = self.look(time.monotonic())
                if wait is None:
                    self._thread = None
                    return
                if line is None:
                    self._changed.wait(wait)
                    continue
            print(line, file=sys.stderr, flush=True)

    def look(self, now: float) -> tuple[str | None, float | None]:
        """Return a line that is to be written now, and the seconds until the next look; None when nothing is done."""
        if not self._bars:
            return None, None
        if self._aside:
            return None, SHOW_AFTER
        bar = self._bars[-1]
        # Whatever comes and goes inside, a file hears something every so often.
        due = min(bar.due, max(self._said, self._bars[0].started) + LINE_EVERY)
        if now < due:
            return None, due - now
        if _is_terminal():
            self._show(bar)
            bar.due = now + _REFRESH
            return None, _REFRESH
        self._said, bar.due = now, now + LINE_EVERY
        return f"{time.strftime('%H:%M:%S')} {printable(bar.line(now))}", 0.0

    def _show(self, bar: ProgressBar) -> None:
        """Show the bar on a terminal as it stands."""
        if self._live is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            counted = () if bar.total is None else (TextColumn("{task.percentage:>3.0f} %"),)
            left = () if bar.total is None else (TextColumn("left"), TimeRemainingColumn())
            live = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                *counted,
                TimeElapsedColumn(),
                *left,
                TextColumn("{task.fields[note]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            live.start()
            label = f"{bar.label}: {bar.unit}" if bar.unit else bar.label
            live.add_task(printable(label), total=bar.total, note=bar.note)
            live.tasks[0].start_time = bar.started
            self._live = bar, live
        live = self._live[1]
        done = bar.done if bar.total is None else min(bar.done, bar.total)
        live.update(live.task_ids[0], completed=done, note=printable(bar.note))

    def _hide(self) -> None:
        if self._live is not None:
            self._live[1].stop()
            self._live = None


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # closed, or put in its place by somebody
        return False


def aside() -> AbstractContextManager[None]:
    """Leave the screen, within the body, to who asks a person there."""
    return _SCREEN.aside()


_SCREEN = Screen()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SCREEN.forget)
