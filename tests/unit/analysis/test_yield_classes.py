import numpy as np
import pytest

from xbarlab.analysis.measurements import yield_classes as yc

US = 1e-6


@pytest.mark.parametrize(
    ("before", "after_reset", "after_set", "want"),
    [
        (129, 7, 180, yc.SWITCHING),
        (180, 110, 182, yc.SWITCHING),  # shallow, but above the factor of 1.5
        (180, 130, 182, yc.STUCK_LRS),  # factor 1.4
        (0.02, 0.01, 0.03, yc.OPEN),
        (0.02, -0.01, 0.09, yc.OPEN),
        (0.5, 0.4, 0.6, yc.UNFORMED),
        (900, 890, 910, yc.SHORT),
        (900, 8, 900, yc.SWITCHING),  # leaky after forming, but it switches
        (200, 198, 201, yc.STUCK_LRS),
        (8, 8, 8.5, yc.STUCK_HRS),
        (8, 5, 12, yc.STUCK_HRS),  # moves, but never leaves the high-resistance band
        (30, 31, 30, yc.LINEAR),
        (129, np.nan, 180, yc.UNMEASURED),
    ],
)
def test_table(before: float, after_reset: float, after_set: float, want: str) -> None:
    assert yc.classify([before * US], [after_reset * US], [after_set * US]).tolist() == [want]


def test_forming_verdict_tells_unformed_from_stuck() -> None:
    g = np.array([8.0]) * US
    assert yc.classify(g, g, g, formed=[False]).tolist() == [yc.UNFORMED]
    assert yc.classify(g, g, g, formed=[True]).tolist() == [yc.STUCK_HRS]
    assert yc.classify([129 * US], [7 * US], [180 * US], formed=[False]).tolist() == [yc.SWITCHING]


def test_short_border_never_lies_above_twice_the_working_maximum() -> None:
    assert yc.YieldThresholds().short_border == pytest.approx(500 * US)
    assert yc.YieldThresholds(lrs_max=2e-3).short_border == pytest.approx(1e-3)


def test_counts_mask_and_yield_agree() -> None:
    names = yc.classify(np.full((2, 2), 129 * US), np.array([[7, 7], [7, 200]]) * US, np.full((2, 2), 180 * US))
    assert names.shape == (2, 2)
    counts = yc.count_categories(names)
    assert counts[yc.SWITCHING] == 3
    assert counts[yc.STUCK_LRS] == 1
    assert sum(counts.values()) == 4
    assert yc.healthy_mask(names).sum() == 3
    assert yc.yield_fraction(names).value == 0.75


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="fine"):
        yc.count_categories(["fine"])
    with pytest.raises(ValueError, match="differ in shape"):
        yc.classify([1.0], [1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="must rise"):
        yc.YieldThresholds(hrs_max=80e-6)
