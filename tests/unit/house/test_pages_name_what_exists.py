"""Pages of docs/ name files, folders and pages that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# safety.md has a test of its own.
PAGES = [
    *sorted(path for path in ROOT.glob("docs/*.md") if path.name != "safety.md"),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
ROOMS = "analysis|common|conformance|docs|instruments|mockhw|protocols|runbooks|tests|twin"
CODE = re.compile(r"`[^`\n]+`")
PATHS = re.compile(rf"(?<![\w./-])((?:{ROOMS})/[\w./-]*[\w/])(?![\w<*./-])")
LINKS = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"|href=\"([^\"]+)\"")


def missing(page: Path) -> list[str]:
    """Return the paths from the root in code, commands included, and the links, that lead nowhere."""
    whole = page.read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", whole, flags=re.DOTALL)
    code = [*CODE.findall(text), *re.findall(r"```sh\n.*?```", whole, flags=re.DOTALL)]
    named = [name for part in code for name in PATHS.findall(part) if not (ROOT / name).exists()]
    linked = ["".join(found) for found in LINKS.findall(text)]
    local = [link for link in linked if not re.match(r"[a-z]+:", link)]
    return named + [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_what_exists(page: Path) -> None:
    assert not missing(page)


def test_a_path_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    said = "`protocols/none.py`, `pytest tests/none.py -m slow`, `tests/test_<model>.py`, [there](gone.md), "
    page.write_text(said + "![picture](figures/x.png), [web](https://example.org)", encoding="utf-8")
    assert missing(page) == ["protocols/none.py", "tests/none.py", "gone.md", "figures/x.png"]


def test_no_number_of_a_decision_is_used_twice() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")]
    assert len(numbers) > 20
    assert sorted(numbers) == sorted(set(numbers))
