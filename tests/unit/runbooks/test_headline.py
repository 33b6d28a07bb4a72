"""What a runbook is to show: its paper in the list, its headline in the summary, neither of them anything but text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.runbooks.commands.listing import listing
from xbarlab.runbooks.runner.expectations import TEXTS
from xbarlab.runbooks.runner.record import summary_numbers
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.runner.schema import list_runbooks, load_runbook

GOOD = "{metric: g_read_median, baseline: g_read_median, better: higher}"


def book(folder: Path, headline: str) -> Path:
    path = folder / "own.md"
    path.write_text(
        "---\ntitle: A read\nstation: mock_ta_hfo2\nsteps:\n"
        f'  - {{id: look, read_array: {{cells: "0:2,0:2"}}}}\nheadline: {headline}\n---\nText.\n',
        encoding="utf-8",
    )
    return path


def test_the_summary_says_how_to_read_it_and_is_read_again(tmp_path: Path) -> None:
    result = run_runbook(load_runbook(book(tmp_path, GOOD)), out=tmp_path / "out", quiet=True)
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert {name: told[name] for name in TEXTS} == {
        "headline": "g_read_median", "baseline": "g_read_median", "better": "higher",
    }  # fmt: skip
    assert not set(TEXTS) & set(result.summary)
    assert summary_numbers(told) == pytest.approx(result.summary, nan_ok=True)
    assert resume_run(tmp_path / "out", quiet=True).summary == pytest.approx(result.summary, nan_ok=True)


@pytest.mark.parametrize(
    ("headline", "says"),
    [
        ("yes", r"own\.md:6: 'headline' must be a map"),
        ("{metric: g_read_median, better: higher}", r"own\.md:6: headline: 'baseline' must be text"),
        (GOOD.replace("higher", "larger"), r"own\.md:6: headline: unknown value of better 'larger'.*higher"),
        (GOOD.replace("g_read_median", "g_read_mean", 1), r"own\.md:6: headline: metric 'g_read_mean': no step"),
        (GOOD.replace("better", "beter"), r"own\.md:6: headline: unknown key 'beter'.*better"),
    ],
)
def test_a_headline_that_no_run_can_have_is_refused_with_its_line(tmp_path: Path, headline: str, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        load_runbook(book(tmp_path, headline))


def test_the_headline_is_named_as_it_stands_in_the_summary(tmp_path: Path) -> None:
    written = GOOD.replace("g_read_median", "look.g_read_median", 1)
    run_runbook(load_runbook(book(tmp_path, written)), out=tmp_path / "out", quiet=True)
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert isinstance(told[told["headline"]], float)
    assert isinstance(told[told["baseline"]], float)


def test_a_run_that_somebody_changed_so_that_it_cannot_show_the_headline_goes_without_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changed = load_runbook("train_nonlinear_adc", overrides=["digits.bits=[3, 4]", "digits.train_bits=4"])
    assert changed.headline is None
    assert [one.getMessage() for one in caplog.records] == [
        "this run has no headline: as it is changed it does not give its baseline digits.ideal_accuracy_5bit"
    ]
    other = load_runbook("train_nonlinear_adc", overrides=["digits.epochs=3"])
    assert other.headline == load_runbook("train_nonlinear_adc").headline


def test_a_headline_that_the_runbook_cannot_have_is_refused_with_other_changes_too(tmp_path: Path) -> None:
    headline = GOOD.replace("g_read_median", "g_read_mean", 1)
    with pytest.raises(RefusedError, match=r"own\.md:6: headline: metric 'g_read_mean': no step"):
        load_runbook(book(tmp_path, headline), overrides=["look.average=2"])


def test_the_list_names_the_paper() -> None:
    line = next(line for line in listing("runbooks") if line.startswith("train_equalizer "))
    assert "arXiv 2010.14009" in line
    assert load_runbook("train_equalizer").paper in line


@pytest.mark.parametrize("name", [name for name in list_runbooks() if name.startswith("train_")])
def test_a_system_says_whose_it_is_how_far_it_came_and_which_number_shows_it(name: str) -> None:
    book = load_runbook(name)
    assert book.paper
    assert 5 < len(book.status) < 100
    assert book.headline is not None
    assert book.headline.metric != book.headline.baseline
