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
ROOMS = "analysis|common|docs|instruments|mockhw|protocols|runbooks|tests"
PATHS = re.compile(rf"`((?:{ROOMS})/[\w./-]*)`")
LINKS = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"|href=\"([^\"]+)\"")


def missing(page: Path) -> list[str]:
    """Return the paths from the root in backticks, and the links, that lead nowhere."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = [name for name in PATHS.findall(text) if not (ROOT / name).exists()]
    linked = ["".join(found) for found in LINKS.findall(text)]
    local = [link for link in linked if not re.match(r"[a-z]+:", link)]
    return named + [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_what_exists(page: Path) -> None:
    assert not missing(page)


def test_a_path_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`protocols/none.py`, [there](gone.md), ![picture](figures/x.png), [web](https://example.org)", "utf-8"
    )
    assert missing(page) == ["protocols/none.py", "gone.md", "figures/x.png"]
