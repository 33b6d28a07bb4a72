"""The resistance of the lines in the bench file is the one that is reported, through the whole instrument path."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from xbarlab import PulseMap, open_bench
from xbarlab.protocols.measure.wire_resistance import WirePlan, WireResult, wire_resistance
from xbarlab.runbooks.stations import find_bench, find_station


def measured(folder: Path, ohm: float, seed: int) -> WireResult:
    """Form the chip of a bench file with lines of ``ohm`` per segment, and measure them."""
    shipped = find_bench("mock_ta_hfo2")
    text = shipped.read_text(encoding="utf-8")
    lines = "".join(f"    wiring.{side}_segment: {{value: {ohm}, source: drawn}}\n" for side in ("row", "col"))
    chip = "chip: {profile: ta_hfo2_1t1r, seed: 0, state: null}\n"
    assert chip in text
    changed = f"chip:\n  profile: ta_hfo2_1t1r\n  seed: 0\n  state: null\n  changes:\n{lines}"
    (folder / shipped.name).write_text(text.replace(chip, changed), encoding="utf-8")
    for other in (shipped.with_name("mock_ta_hfo2.chip.yaml"), find_station("mock_ta_hfo2")):
        shutil.copy(other, folder)
    with open_bench(folder / "mock_ta_hfo2.station.yaml", seed=seed) as bench:
        array = bench.array
        array.pulse(PulseMap(array.spec.whole, 3.3, 10e-6, 1.3, 3))
        return wire_resistance(array, WirePlan())


def test_the_wire_of_one_bench_file(tmp_path: Path) -> None:
    m = measured(tmp_path, 2.0, 4).metrics()
    assert m["wire_ohm_per_segment"] == pytest.approx(2.0, abs=0.1)
    assert m["line_contact_ohm"] == pytest.approx(5.0, abs=1.0)  # what the profile says of the driver


@pytest.mark.slow
def test_twenty_values_are_found_within_their_intervals(tmp_path: Path) -> None:
    drawn = np.random.default_rng(13).uniform(0.5, 5.0, 20)
    held, widths, errors = 0, list[float](), list[float]()
    for number, ohm in enumerate(drawn.round(3).tolist()):
        folder = tmp_path / str(number)
        folder.mkdir()
        m = measured(folder, ohm, number).metrics()
        low, high = (m[f"wire_ohm_per_segment_ci95_{end}"] for end in ("low", "high"))
        print(f"{ohm:6.3f} {m['wire_ohm_per_segment']:7.4f} {low:7.4f} {high:7.4f}", m["line_contact_ohm"])
        held += low <= ohm <= high
        widths.append(high - low)
        errors.append(m["wire_ohm_per_segment"] / ohm - 1.0)
    print(
        f"held {held} of 20, median width {np.median(widths):.4f}, error {np.mean(errors):+.4f} ± {np.std(errors):.4f}"
    )
    assert held >= 18
    assert np.median(widths) <= 0.3
