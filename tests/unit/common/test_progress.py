"""What a person sees of something that lasts: a bar on a terminal, a line at least every half minute in a file."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator

import pytest

from xbarlab.common import progress
from xbarlab.common.progress import LINE_EVERY, SHOW_AFTER, ProgressBar, Screen, silent


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    made = Screen()
    monkeypatch.setattr(made, "_watch", lambda: None)  # the test looks itself, at times of its own
    monkeypatch.setattr(progress, "_SCREEN", made)
    yield made
    made._hide()


def lines(screen: Screen, begin: float, seconds: float, step: float = 0.25) -> list[tuple[float, str]]:
    """Look every ``step`` seconds, as the thread would, and return (time, line) of what was to be written."""
    found: list[tuple[float, str]] = []
    for k in range(round(seconds / step) + 1):
        line, _ = screen.look(begin + k * step)
        if line is not None:
            found.append((k * step, line.partition(" ")[2]))
    return found


def test_a_file_gets_a_line_after_two_seconds_and_at_least_every_half_minute(screen: Screen) -> None:
    with ProgressBar("form (step 1 of 6)", 64, unit="cells") as bar:
        found = lines(screen, bar.started, 1.5)
        bar.update(16.0, "cell (0, 3): formed")
        found += lines(screen, bar.started, 120.0)
    assert found[0] == (
        SHOW_AFTER,
        "form (step 1 of 6): 16 of 64 cells, 2.0 s so far, about 6.0 s left; cell (0, 3): formed",
    )
    times = [time for time, _ in found]
    assert max(b - a for a, b in zip(times, [*times[1:], 120.0], strict=True)) <= 30.0
    assert len(found) <= 1 + 120.0 / LINE_EVERY
    assert lines(screen, bar.started, 200.0) == [], "what has ended says nothing"


def test_what_is_inside_is_shown_and_short_things_inside_hide_nothing_for_long(screen: Screen) -> None:
    with ProgressBar("iv (step 2 of 6)") as outer:
        with ProgressBar("iv (step 2 of 6)", 3, unit="loops") as loops:
            assert "0 of 3 loops, 2.0 s so far, time left not known yet" in lines(screen, loops.started, 2.5)[0][1]
        found: list[float] = []
        for second in range(3, 100):
            with ProgressBar("short", 1) as inner:
                inner.started, inner.due = outer.started + second, outer.started + second + SHOW_AFTER
                found += [second + time for time, _ in lines(screen, inner.started, 0.75)]
    assert max(b - a for a, b in zip([2.5, *found], [*found, 100.0], strict=True)) <= 30.0


def test_what_earlier_sessions_did_says_nothing_of_the_pace() -> None:
    bar = ProgressBar("iv", 100, unit="loops")
    for _ in range(50):
        bar.skip()
    assert bar.left(bar.started + 10.0) is None
    bar.advance()
    assert bar.left(bar.started + 10.0) == pytest.approx(490.0)
    trained = ProgressBar("train", 1000, unit="steps")
    trained.skip()
    trained.update(501.0)
    assert trained.left(trained.started + 1.0) == pytest.approx(499.0)


def test_nothing_is_shown_where_nothing_is_to_be_said(screen: Screen) -> None:
    with ProgressBar("form", 3, quiet=True) as bar:
        assert lines(screen, bar.started, 60.0) == []
    with silent(), ProgressBar("form", 3) as bar:
        assert lines(screen, bar.started, 60.0) == []


def test_a_terminal_gets_a_bar_that_moves_though_nothing_is_told(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar("form (step 1 of 6)", 4, unit="cells") as bar:
        bar.update(1.0, "cell [0, 1]")
        assert lines(screen, bar.started, 10.0) == []
    shown = terminal.getvalue()
    assert "form (step 1 of 6): cells" in shown
    assert "25 %" in shown
    assert "cell [0, 1]" in shown


def test_the_thread_ends_with_what_it_shows_and_control_characters_are_written_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "SHOW_AFTER", 0.0)
    said, written = io.StringIO(), threading.Event()

    class File(io.StringIO):
        def write(self, text: str) -> int:
            said.write(text)
            written.set()
            return len(text)

    monkeypatch.setattr(sys, "stderr", File())
    with ProgressBar("chip \x1b[31m", 1) as bar:
        assert written.wait(10.0)
        assert bar.due > bar.started
    assert "chip \\x1b[31m: 0 of 1" in said.getvalue()
    for thread in threading.enumerate():
        if thread.name == "xbarlab progress":
            thread.join(10.0)
            assert not thread.is_alive()
