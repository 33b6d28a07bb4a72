import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from xbarlab.analysis.plots import plots
from xbarlab.analysis.quantities import COUNT, FRACTION, QUANTITIES, describe, format_value
from xbarlab.analysis.report.report import Check, Section, write_report

VOID = {"meta", "img", "path", "circle", "br", "link", "input"}


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.external: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href"} and value and not value.startswith(("data:", "#")):
                self.external.append(value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def report(tmp_path: Path, **changes: object) -> str:
    figure, ax = plots.new_figure(2.0, 1.0)
    ax.plot([0, 1], [0, 1])
    frame = pd.DataFrame(
        {"level": [0, 1], "sigma [S]": [3.1e-6, 12e-6], "misread [fraction]": [0.01, 0.0], "who": ["<a>", "b"]}
    )
    arguments: dict[str, object] = {
        "title": "First <light>",
        "summary": {
            "yield_fraction": 0.9976,
            "yield_fraction_ci95_low": 0.99,
            "yield_fraction_ci95_high": 0.999,
            "iv.v_set_mean": 0.9,
            "programming_sigma": 3.5e-6,
            "something_new": 4.0,
            "slots": 88123,
            "seed": 1,
        },
        "sections": [Section("Maps & more", "One.\n\nTwo.", [("A line.", figure)], [("Levels", frame)])],
        "checks": [Check("yield_fraction", 0.9976, 0.99)],
        "failures": {"flickered": 3, "did not RESET": 12},
        "provenance": {"Seed": "1"},
    }
    path = write_report(tmp_path / "report.html", **(arguments | changes))  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


def test_report_is_one_balanced_self_contained_file(tmp_path: Path) -> None:
    html = report(tmp_path)
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert parser.external == []
    assert html.count("data:image/png;base64,") == 1
    assert "<script" not in html
    assert not re.search(r"url\(|@import", html)


def test_report_escapes_and_shows_units_intervals_and_definitions(tmp_path: Path) -> None:
    html = report(tmp_path)
    assert "First &lt;light&gt;" in html
    assert "&lt;a&gt;" in html
    assert "99.00 … 99.90 %" in html
    assert "switching cells over all cells" in html
    assert "sigma (µS)" in html
    assert "12.00" in html
    assert "misread (%)" in html
    assert "<td>iv</td>" in html  # the step of a prefixed key
    assert "something_new" in html
    assert html.index("did not RESET") < html.index("flickered")
    assert "<p>One.</p>" in html
    assert "<p>Two.</p>" in html


def test_verdict(tmp_path: Path) -> None:
    assert "The expectation is met." in report(tmp_path)
    missed = report(tmp_path, checks=[Check("yield_fraction", 0.9, 0.99), Check("pulses_per_cell", 9.0, None, 12.0)])
    assert "1 of 2 expectations missed: yield_fraction." in missed
    assert missed.count("✗ missed") == 1
    assert "states no expectations" in report(tmp_path, checks=[])


@pytest.mark.parametrize(
    ("check", "passed", "words"),
    [
        (Check("yield_fraction", 0.95, 0.95), True, "≥ 95 %"),
        (Check("pulses_per_cell", 12.1, None, 12.0), False, "≤ 12"),
        (Check("v_set_mean", 0.9, 0.5, 1.5), True, "0.5 V … 1.5 V"),
        (Check("r_on_median", float("nan"), 1e3), False, "≥ 1 kΩ"),
        (Check("transactions", 200.0, None, 200.0), True, "≤ 200"),
    ],
)
def test_checks(check: Check, passed: bool, words: str) -> None:
    assert (check.passed, check.expectation) == (passed, words)


def test_keys_are_taken_apart() -> None:
    q = describe("iv.v_set_mean_ci95_low")
    assert (q.step, q.name, q.bound, q.unit) == ("iv", "v_set_mean", "low", "V")
    assert describe("programmed_fraction_60s").name == "programmed_fraction_60s"
    assert describe("nobody_knows").definition == ""


def test_every_summary_key_of_the_first_light_run_is_defined() -> None:
    wanted = [
        "yield_fraction",
        "formed_fraction",
        "v_set_mean",
        "v_reset_mean",
        "r_on_median",
        "r_off_median",
        "programmed_fraction",
        "programmed_fraction_60s",
        "pulses_per_cell",
        "ispp_pulses_per_cell",
        "transactions",
        "slots",
        "chip_seconds",
        "seconds",
        "seed",
    ]
    assert set(wanted) <= set(QUANTITIES)
    assert all(len(definition) > 20 for _, definition in QUANTITIES.values())


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (6121.4, "Ω", "6.121 kΩ"),
        (3.5e-6, "S", "3.500 µS"),
        (999.97e-6, "S", "1.000 mS"),
        (-0.87631, "V", "−0.8763 V"),
        (0.0374, "V", "37.40 mV"),
        (0.99976, FRACTION, "99.976 %"),
        (1.0, FRACTION, "100.00 %"),
        (88123.0, COUNT, "88,123"),
        (41.2, "s", "41.20 s"),
        (float("nan"), "V", "–"),
        (float("inf"), "Ω", "∞"),
        (0.0, "S", "0 S"),
        (1.0, "", "1"),
    ],
)
def test_numbers_are_written_for_people(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_interval_ends_take_the_prefix_of_their_middle() -> None:
    assert format_value(998.0, "Ω", like=1200.0) == "0.9980 kΩ"


def tiles_of(html: str) -> list[str]:
    return [re.sub("<[^>]+>", "", one) for one in re.findall(r'<span class="k">(.*?)</span><span', html)]


def test_a_training_leads_with_its_result_twin_and_chance(tmp_path: Path) -> None:
    summary = {
        "formed_fraction": 0.99,
        "yield_fraction": 0.98,
        "v_form_mean": 2.5,
        "test_accuracy": 0.95,
        "majority_accuracy": 0.11,
        "float_twin_accuracy": 0.96,
    }
    sections = [Section("Forming"), Section("Training", leads=True), Section("Cost")]
    html = report(tmp_path, summary=summary, sections=sections)
    assert tiles_of(html)[:3] == ["test_accuracy", "float_twin_accuracy", "majority_accuracy"]
    assert set(tiles_of(html)) == set(summary)
    places = [html.index(f"</span>{title}</h2>") for title in ("Training", "Forming", "Cost")]
    assert places == sorted(places)


def test_each_step_that_trains_has_its_own_tiles_under_its_own_name(tmp_path: Path) -> None:
    summary = {"vowels.test_accuracy": 0.9, "digits.test_accuracy": 0.8, "vowels.float_twin_accuracy": 0.95}
    assert tiles_of(report(tmp_path, summary=summary)) == [
        "vowels · test_accuracy",
        "vowels · float_twin_accuracy",
        "digits · test_accuracy",
    ]


def test_the_last_row_of_tiles_is_filled(tmp_path: Path) -> None:
    # A grid leaves holes behind an odd number of tiles; boxes that grow do not.
    html = report(tmp_path)
    assert re.search(r"\.tiles \{[^}]*display: flex;[^}]*flex-wrap: wrap", html)
    assert re.search(r"\.tile \{[^}]*flex: 1 1 ", html)
    assert "grid-template-columns: repeat" not in html


def test_chip_date_and_operator_stand_on_top(tmp_path: Path) -> None:
    told = {"Runbook": "x.md", "Chip": "A-<7>", "Date": "2026-11-29 21:15 +0000", "Operator": "Ada", "Versions": "1"}
    html = report(tmp_path, provenance=told)
    head = html[html.index("<header") : html.index("</header>")]
    for value in ("A-&lt;7&gt;", "2026-11-29 21:15 +0000", "Ada"):
        assert value in head
    assert "Versions" not in head
