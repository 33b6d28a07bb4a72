"""Every ``xbarlab …`` that a page, a runbook or a help text shows is a command with these options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from xbarlab.cli import app

ROOT = Path(__file__).parents[3]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("runbooks/*.md")),
]
SHOWN = re.compile(r"^(?:[A-Z_]+=\S* )?(xbarlab .*)$|`(?:[A-Z_]+=\S* )?(xbarlab [^`\n]+)`", re.MULTILINE)
COMMAND: Any = typer.main.get_command(app)


def shown(text: str) -> list[str]:
    """Return the commands of a text, without comments."""
    return ["".join(found).partition(" #")[0].replace("…", "").strip() for found in SHOWN.findall(text)]


def trouble(line: str) -> str:
    """Return what of a command does not exist, empty when all of it does."""
    here, words = COMMAND, shlex.split(line.partition("&&")[0].partition("|")[0])[1:]
    while words and not words[0].startswith("-") and hasattr(here, "commands"):
        if words[0] not in here.commands:
            return f"no command {words[0]!r}"
        here = here.commands[words.pop(0)]
    known = {name for parameter in here.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h", "--debug"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_exist(page: Path) -> None:
    wrong = {line: trouble(line) for line in shown(page.read_text(encoding="utf-8"))}
    assert not {line: why for line, why in wrong.items() if why}


def test_the_check_sees_what_it_is_for() -> None:
    text = (
        "`xbarlab run a.md --chek`\nxbarlab stations check x  # c\nXBARLAB_TOKEN=… xbarlab list\n`xbarlab mock serve`\n"
    )
    assert [trouble(line) for line in shown(text)] == ["no option --chek", "no command 'stations'", "", ""]
    assert sum(len(shown(page.read_text(encoding="utf-8"))) for page in PAGES) > 40
