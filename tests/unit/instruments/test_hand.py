"""Who connects single devices: a person at a terminal, a command, a function; one sentence where nobody can."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.probe.single.hand import COMMAND, Request, ask_at_terminal, by_command, hand_for, name_command

ASKED = Request("B 2", "chip-7", "the contact of device B 2 is open: lower the probes")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def nobody_named(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(COMMAND, raising=False)
    name_command(None)
    yield
    name_command(None)


def noting(folder: Path, *, ends: int = 0) -> tuple[str, Path]:
    """Return a command that notes its arguments."""
    noted, script = folder / "noted.json", folder / "hand of mine.py"
    script.write_text(
        f"import json, sys\njson.dump(sys.argv[1:], open({str(noted)!r}, 'w'))\nsys.exit({ends})\n", encoding="utf-8"
    )
    return f'"{sys.executable}" "{script}"', noted


def test_a_person_is_asked_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    monkeypatch.setattr(sys, "stderr", said)
    ask_at_terminal(ASKED)
    text = said.getvalue()
    assert "device B 2 of chip chip-7" in text
    assert "lower the probes" in text
    assert "at 0 V, disconnected" in text


def test_without_a_terminal_one_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(
        RefusedError, match=r"no terminal to ask at: .*--hand COMMAND, or XBARLAB_HAND.*array\.hand"
    ) as no:
        ask_at_terminal(ASKED)
    assert "\n" not in str(no.value)


def test_an_input_that_has_ended_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(RefusedError, match="the input has ended"):
        ask_at_terminal(ASKED)


@pytest.mark.parametrize(("more", "came"), [("", ["B 2"]), (" --to {device}", ["--to", "B 2"])])
def test_a_command_gets_the_name_and_no_shell(tmp_path: Path, more: str, came: list[str]) -> None:
    command, noted = noting(tmp_path)
    by_command(command + more)(ASKED)
    assert json.loads(noted.read_text(encoding="utf-8")) == came
    by_command(command)(Request("A; touch x", "c"))
    assert json.loads(noted.read_text(encoding="utf-8")) == ["A; touch x"]


@pytest.mark.parametrize("command", ["", "  ", '"unbalanced'])
def test_a_command_that_is_none_is_refused(command: str) -> None:
    with pytest.raises(RefusedError, match="command"):
        by_command(command)


def test_a_command_that_fails_did_not_connect(tmp_path: Path) -> None:
    command, _ = noting(tmp_path, ends=3)
    with pytest.raises(InstrumentError, match=r"device B 2 was not connected: .* ended with 3"):
        by_command(command)(ASKED)
    with pytest.raises(
        InstrumentError, match="device B 2 was not connected: the command 'no_such_program_here' failed"
    ):
        by_command("no_such_program_here")(ASKED)


def test_the_option_comes_first_then_the_environment_then_who_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offered(request: Request) -> None:
        del request

    assert hand_for(None) is ask_at_terminal
    assert hand_for(offered) is offered
    command, noted = noting(tmp_path)
    monkeypatch.setenv(COMMAND, command)
    hand_for(offered)(ASKED)
    assert json.loads(noted.read_text(encoding="utf-8")) == ["B 2"]
    name_command(command + " by option")
    hand_for(offered)(ASKED)
    assert json.loads(noted.read_text(encoding="utf-8")) == ["by", "option", "B 2"]
