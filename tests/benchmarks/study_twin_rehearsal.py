"""How often what a rehearsal predicts comes true: chips from a posterior, each really run, against one rehearsal.

    python tests/benchmarks/study_twin_rehearsal.py
    python tests/benchmarks/study_twin_rehearsal.py --chip my_chip.profile.yaml --chips 12 --draws 40 --preset ""

Takes ``first_light_1t1r`` on the 1T1R profile given; one without posterior gets one for this study, ±3 % of its SET and
RESET constants, its series resistance and its transistor's threshold. True chips are drawn from it with seeds of their
own and the runbook is run on each as anybody runs it; every chip–metric pair is one trial. Prints the coverage of the
90 % intervals: as counted, and with values that are often the same counted as chance would (where a value equals the
end of an interval, the share of draws beyond it decides), which is what continuous metrics must meet.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from xbarlab.analysis.estimates.estimates import fraction_estimate
from xbarlab.analysis.estimates.predictions import LEVEL
from xbarlab.mockhw.chip.profile import load_profile, profile_file
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.twin.rehearsal.compare import compare
from xbarlab.twin.rehearsal.rehearse import rehearse

RUNBOOK, ASSUMED = "first_light_1t1r", {"set.US": 0.03, "reset.UR": 0.03, "series.Rs": 0.03, "transistor.Vt": 0.03}
TRUTH_SEED, NEAR = 1_000_000, 0.07


def with_posterior(name: str, folder: Path) -> Path:
    """Return a profile file that has a posterior: the given one, or a copy with that of this study."""
    if load_profile(name).posterior is not None:
        return profile_file(name)
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(profile_file(name).read_text(encoding="utf-8"))
    variance = np.diag([sd**2 for sd in ASSUMED.values()]).tolist()
    content["posterior"] = {"parameters": list(ASSUMED), "scale": ["log"] * len(ASSUMED), "covariance": variance}
    path = folder / "study.profile.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return path


def rank(draws: np.ndarray, value: float, rng: np.random.Generator) -> float:
    """Return where a value stands among draws, between 0 and 1, ties broken by lot: uniform where it is one of them."""
    below, same = int((draws < value).sum()), int((draws == value).sum())
    return (below + rng.uniform(0.0, same + 1.0)) / (draws.size + 1)


def main() -> None:
    """Rehearse once, run every true chip, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chip", default="ta_hfo2_1t1r")
    parser.add_argument("--chips", type=int, default=8, help="true chips")
    parser.add_argument("--draws", type=int, default=39, help="draws of the rehearsal")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--jobs", type=int, default=None)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    held: dict[str, list[bool]] = {}
    fair: dict[str, list[bool]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chip = with_posterior(given.chip, folder)
        asked = {"chip": chip, "preset": given.preset, "jobs": given.jobs}
        rehearse(RUNBOOK, draws=given.draws, out=folder / "rehearsed", **asked)
        # Stations of the true chips are those that a rehearsal with other seeds leaves; its own runs are not looked at.
        truth = rehearse(RUNBOOK, draws=given.chips, seed=TRUTH_SEED, keep=True, out=folder / "truth", **asked).record
        for draw in truth.draws:
            place, run = folder / "truth" / "draws" / f"{draw.number:04d}", folder / f"run{draw.number}"
            station = place / "drawn.station.yaml"
            run_runbook(RUNBOOK, station=station, preset=given.preset, seed=draw.seed, out=run, quiet=True)
            comparison = compare(run, folder / "rehearsed")
            print(f"chip {draw.number}: {len(comparison.outside)} of {len(comparison.measured)} outside; by chance "
                  f"{comparison.chance:.1f}", file=sys.stderr)  # fmt: skip
            for one in comparison.measured:
                held.setdefault(one.key, []).append(one.prediction.holds(one.measured))
                draws = one.values[np.isfinite(one.values)]
                fair.setdefault(one.key, []).append(abs(rank(draws, one.measured, rng) - 0.5) <= 0.5 * LEVEL)
    print(f"{RUNBOOK} ({given.preset or 'as it is'}), {given.chips} true chips, {given.draws} draws of {given.chip}")
    print(f"{'metric':<28s} {'within':>7s} {'ties by lot':>12s} of {given.chips}")
    for key, hits in held.items():
        print(f"{key:<28s} {sum(hits):>7d} {sum(fair[key]):>12d}")
    for label, found in (("as counted", held), ("ties by lot", fair)):
        trials = [hit for hits in found.values() for hit in hits]
        share = fraction_estimate(sum(trials), len(trials))
        met = "within" if abs(share.value - LEVEL) <= NEAR else "not within"
        print(f"coverage of {LEVEL:.0%} intervals, {label}: {share.value:.1%} of {len(trials)} chip–metric pairs, "
              f"{met} ±{100 * NEAR:.0f} points (95 % interval, were pairs independent: {share.low:.1%} … "
              f"{share.high:.1%})")  # fmt: skip


if __name__ == "__main__":
    main()
