"""Read–verify that plans: what pulses do is learnt as they do it, and each pulse is the one that costs least.

What a pulse does is kept as counts: from which conductance, at which knob value, to which conductance. From these
follows for every window how many pulses are still to be expected from every conductance (value iteration, Bellman
1957), and so for every cell the pulse after which the fewest are. Nothing is assumed of the device but that SETs lead
up, RESETs down, and neighbouring knob values do similar things. Whether SET or RESET is the finer tool, and how strong
a RESET should be, is found out.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ...instruments.capabilities import FloatArray
from ..keeping.array_state import Arrays, ArrayState
from .staircases import GOLDEN, LearningStaircase, Ramp, towards
from .targets import Goal
from .verify_state import BoolArray, VerifyState

SIGNS = (1, -1)
PLACES, KNOBS, LANDINGS = 20, 40, 90
"""Bins of the conductance before a pulse, of the knob, and of the conductance after it."""
TOP = 1.5
"""Conductances are told apart up to this factor of the highest target."""
ENOUGH = 60
"""Pulses of each polarity that have to have been seen before any is planned."""
MANY = 64
"""Cells above their window from which on first RESETs are spread over the ramp."""
BORROWED = 4.0
"""Pulses that what was seen from other conductances counts for."""
ALIKE, NEAR, BLURRED = 1.0, 1.0, 0.7
"""Width, in bins, over which knob values and conductances before a pulse are taken for alike, and landings blurred."""
FEW, NARROWS, WIDEST = 3000.0, 0.35, 2.5
"""With fewer pulses knob values further apart are taken for alike: width × (few / pulses) to this power."""
TURNED = 0.75
"""Share of the changes of polarity a cell may make, after which it is one that plans do not suit."""
AGAIN = 0.5
"""What a pulse without effect costs besides itself: the next one alike will often have none either."""
NEWS = 1.02
"""Growth of the pulses seen, since what they do was last put together, from which on it is put together anew."""
ROUNDS = 40
"""Of value iteration, at most."""
SHARE = 0.4
"""Of the variance of first deviations, that is the cells' own."""
OUTLIER = 2.0
"""Standard deviations beyond which a deviation counts as that many."""
LEAST_LEFT = 0.1
"""Of a cell's own variance that stays: cells change."""
WINDOWS_MOST = 48
"""Different windows that are planned for one by one; of a map with more, those that are nearest serve."""


Law = tuple[FloatArray, FloatArray, BoolArray]
"""Of one polarity: chance of no effect, landings given one, what is known."""


class Transitions(ArrayState):
    """What pulses of both polarities did, as counts over bins.

    Parameters
    ----------
    top : float
        Conductance [S] up to which bins reach.
    ramps : {1, -1} → Ramp
    """

    def __init__(self, top: float, ramps: dict[int, Ramp]) -> None:
        self.top = top
        self._ramps = ramps
        self.landed = np.zeros((2, PLACES, KNOBS, LANDINGS), np.float32)
        self.stayed = np.zeros((2, PLACES, KNOBS), np.float32)
        # The counts that laws are made of; kept with the others, so that a run that was cut plans as one that was not.
        self.told_landed, self.told_stayed = self.landed.copy(), self.stayed.copy()
        self._laws: dict[int, Law] = {}

    def seen(self, sign: int) -> float:
        """Return how many pulses of a polarity have been seen."""
        at = SIGNS.index(sign)
        return float(self.landed[at].sum() + self.stayed[at].sum())

    def place(self, conductance: FloatArray) -> NDArray[np.int64]:
        """Return the bin of conductances before a pulse."""
        return np.clip(np.nan_to_num(conductance) / self.top * PLACES, 0, PLACES - 1).astype(np.int64)

    def landing(self, conductance: FloatArray) -> NDArray[np.int64]:
        """Return the bin of conductances after a pulse."""
        return np.clip(np.nan_to_num(conductance) / self.top * LANDINGS, 0, LANDINGS - 1).astype(np.int64)

    def knob(self, sign: int, value: FloatArray) -> NDArray[np.int64]:
        """Return the bin of knob values."""
        ramp = self._ramps[sign]
        span = max(ramp.stop - ramp.start, 1e-9)
        return np.clip((value - ramp.start) / span * KNOBS, 0, KNOBS - 1).astype(np.int64)

    def values(self, sign: int) -> FloatArray:
        """Return the knob values of the bins' middles [V]."""
        ramp = self._ramps[sign]
        return ramp.start + (np.arange(KNOBS) + 0.5) / KNOBS * (ramp.stop - ramp.start)

    @property
    def middles(self) -> FloatArray:
        """Conductances of the landing bins' middles [S]."""
        return (np.arange(LANDINGS) + 0.5) / LANDINGS * self.top

    def add(self, sign: int, before: FloatArray, value: FloatArray, after: FloatArray, moved: BoolArray) -> None:
        """Add pulses: conductance before [S], knob value [V], conductance after [S], whether it moved the cell."""
        at = SIGNS.index(sign)
        place, knob, landing = self.place(before), self.knob(sign, value), self.landing(after)
        np.add.at(self.landed[at], (place[moved], knob[moved], landing[moved]), 1.0)
        np.add.at(self.stayed[at], (place[~moved], knob[~moved]), 1.0)
        if self.seen(sign) > NEWS * (self.told_landed[at].sum() + self.told_stayed[at].sum()):
            self.told_landed[at], self.told_stayed[at] = self.landed[at], self.stayed[at]
            self._laws.pop(sign, None)

    def restore(self, arrays: Arrays) -> None:
        """Take up counts."""
        super().restore(arrays)
        self._laws.clear()

    def law(self, sign: int) -> Law:
        """Return chance of no effect [places, knobs], landings given one [places, knobs, landings], what is known.

        A place that has seen few pulses at a knob value borrows from the other places.
        """
        if sign not in self._laws:
            self._laws[sign] = self._smoothed(sign)
        return self._laws[sign]

    def _smoothed(self, sign: int) -> Law:
        at = SIGNS.index(sign)
        seen = float(self.told_landed[at].sum() + self.told_stayed[at].sum())
        alike = ALIKE * float(np.clip((FEW / max(seen, 1.0)) ** NARROWS, 1.0, WIDEST))
        landed = gaussian_filter1d(self.told_landed[at].astype(np.float64), alike, axis=1, mode="constant")
        landed = gaussian_filter1d(landed, NEAR, axis=0, mode="nearest")
        landed = gaussian_filter1d(landed, BLURRED, axis=2, mode="nearest")
        stayed = gaussian_filter1d(self.told_stayed[at].astype(np.float64), alike, axis=1, mode="constant")
        stayed = gaussian_filter1d(stayed, NEAR, axis=0, mode="nearest")
        pooled, pooled_stays = landed.sum(axis=0), stayed.sum(axis=0)
        moves = pooled.sum(axis=1)
        shape = pooled / np.maximum(moves, 1e-9)[:, None]
        of_place = landed.sum(axis=2)
        landings = (landed + BORROWED * shape) / np.maximum(of_place + BORROWED * (moves > 0.0), 1e-9)[..., None]
        chance = pooled_stays / np.maximum(pooled_stays + moves, 1e-9)
        stays = (stayed + BORROWED * chance) / np.maximum(stayed + of_place + BORROWED, 1e-9)
        known = np.broadcast_to(pooled_stays + moves > 0.3, stays.shape)
        return stays, landings, known


class CellShifts(ArrayState):
    """By how much each cell needs more of a knob than the array does [V]."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.mean = np.zeros(shape)
        self._left = np.ones(shape)  # of the cells' own variance

    def learn(self, cells: BoolArray, off: FloatArray, spread: FloatArray) -> None:
        """Take in by how much pulses fell short [V], where all of them scatter by ``spread`` [V]."""
        good = cells & np.isfinite(off) & np.isfinite(spread) & (spread > 0.0)
        own = SHARE * spread**2 * self._left
        luck = (1.0 - SHARE) * spread**2
        gain = np.where(good, own / np.maximum(own + luck, 1e-12), 0.0)
        most = OUTLIER * np.sqrt(own + luck)
        self.mean = self.mean + gain * np.where(good, np.clip(np.nan_to_num(off), -most, most), 0.0)
        self._left = np.maximum((1.0 - gain) * self._left, LEAST_LEFT)
        if good.any():
            self.mean = self.mean - np.median(self.mean[good])


class PlanningStaircase:
    """Ours. A pulse is planned from what pulses have done; while little is known, a staircase that learns is asked."""

    def __init__(self, set_ramp: Ramp, reset_ramp: Ramp, goal: Goal) -> None:
        shape = (int(goal.target.shape[0]), int(goal.target.shape[1]))
        self.set_ramp, self.reset_ramp = set_ramp, reset_ramp
        self._first = LearningStaircase(set_ramp, reset_ramp, shape)
        self._ramps = {1: set_ramp, -1: reset_ramp}
        highest = float(np.nanmax(goal.target, initial=0.0))
        self._transitions = Transitions(TOP * max(highest, 1e-9), self._ramps)
        self._shifts = {sign: CellShifts(shape) for sign in SIGNS}
        self._value = np.zeros(shape)
        self._windows = _Windows(goal)
        self._of_laws: tuple[dict[int, Law], FloatArray, dict[int, FloatArray]] | None = None

    def aim(self, goal: Goal) -> None:
        """Turn to other windows, none above the highest so far; what was learnt of the cells stays."""
        self._windows, self._of_laws = _Windows(goal), None

    def choose(self, state: VerifyState, cells: BoolArray) -> tuple[NDArray[np.int8], FloatArray]:
        """Return polarity and knob value of the next pulse of every cell in ``cells``."""
        if min(self._transitions.seen(sign) for sign in SIGNS) < ENOUGH:
            sign, value = self._first.choose(state, cells)
        else:
            sign, value = self._planned(state, cells)
            self._first.note(cells, sign, value)
        self._value = np.where(cells, value, self._value)
        return sign, value

    def _planned(self, state: VerifyState, cells: BoolArray) -> tuple[NDArray[np.int8], FloatArray]:
        laws = {sign: self._transitions.law(sign) for sign in SIGNS}
        best = np.full(state.target.shape, np.inf)
        sign_of = towards(state)
        value = np.zeros(state.target.shape)
        place = self._transitions.place(state.g)
        for index, mine in self._windows.of(cells):
            ahead, costs = self._ahead(laws, index)
            for sign in SIGNS:
                at = np.nonzero(mine & (sign_of == sign))
                if not len(at[0]):
                    continue
                here = ahead[self._transitions.landing(state.g[at])]
                stays, _, known = laws[sign]
                chance = stays[place[at]]  # cells × knobs
                cost = 1.0 + chance * (here[:, None] + AGAIN) + (1.0 - chance) * costs[sign][place[at]]
                wanted = self._transitions.values(sign) + self._shifts[sign].mean[at][:, None]
                cost = np.where(known[place[at]] & self._allowed(sign, state, at, wanted), cost, np.inf)
                choice = cost.argmin(axis=1)[:, None]
                best[at] = np.take_along_axis(cost, choice, axis=1)[:, 0]
                value[at] = np.take_along_axis(wanted, choice, axis=1)[:, 0]
        lost = cells & (~np.isfinite(best) | (state.reversals >= TURNED * state.acceptance.reversals_max))
        if lost.any():
            value = np.where(lost, self._first.choose(state, lost)[1], value)
        for sign in SIGNS:
            ramp = self._ramps[sign]
            value = np.where(sign_of == sign, np.clip(value, ramp.start, ramp.stop), value)
        return sign_of, value

    def _allowed(self, sign: int, state: VerifyState, at: Any, wanted: FloatArray) -> BoolArray:
        """Return which knob values go on from a pulse that had no effect: those that are stronger, by growing steps."""
        ramp = self._ramps[sign]
        inside = (wanted >= ramp.start - 1e-9) & (wanted <= ramp.stop + 0.5 * (ramp.stop - ramp.start) / KNOBS)
        without = (state.sign[at] == sign) & (state.stalls[at] > 0)
        least = self._value[at] + 0.25 * ramp.step * np.minimum(2.0 ** (state.stalls[at] - 1.0), 8.0)
        return inside & (~without[:, None] | (wanted >= least[:, None]))

    def _ahead(self, laws: dict[int, Law], window: int) -> tuple[FloatArray, dict[int, FloatArray]]:
        """Return what :meth:`_expected` does, of one window; of all windows anew where the laws are others."""
        if self._of_laws is None or any(self._of_laws[0][sign] is not laws[sign] for sign in SIGNS):
            self._of_laws = laws, *self._expected(laws, *self._windows.edges.T)
        _, ahead, moved = self._of_laws
        return ahead[:, window], {sign: moved[sign][..., window] for sign in SIGNS}

    def _expected(
        self, laws: dict[int, Law], low: FloatArray, high: FloatArray
    ) -> tuple[FloatArray, dict[int, FloatArray]]:
        """Return pulses to be expected from each landing bin, and after pulses that moved a cell, of all windows.

        ``low``, ``high`` [windows] are their ends; the shapes are [landings, windows] and [places, knobs, windows].
        """
        middles = self._transitions.middles[:, None]
        half = 0.5 * self._transitions.top / LANDINGS
        covered = np.minimum(high, middles + half) - np.maximum(low, middles - half)
        outside = 1.0 - np.clip(covered / (2.0 * half), 0.0, 1.0)
        outside[-1, np.isinf(high)] = 0.0
        place = self._transitions.place(middles[:, 0])
        below = middles < np.where(np.isfinite(high), 0.5 * (low + np.minimum(high, 1.0)), np.inf)
        ahead = np.full(outside.shape, 6.0)
        moved = {sign: np.zeros((PLACES, KNOBS, len(low))) for sign in SIGNS}
        open_ = np.arange(len(low))
        for _ in range(ROUNDS):
            best = np.full((LANDINGS, len(open_)), 60.0)
            for sign in SIGNS:
                stays, landings, known = laws[sign]
                then = (landings.reshape(-1, LANDINGS) @ (ahead * outside)[:, open_]).reshape(PLACES, KNOBS, -1)
                moved[sign][..., open_] = then
                # Per place there is a constant part, and one that grows with what is ahead from this very landing.
                for at in range(PLACES):
                    bins, used = place == at, known[at]
                    if not (bins.any() and used.any()):
                        continue
                    chance = stays[at, used][:, None]
                    cost = 1.0 + chance * AGAIN + (1.0 - chance) * then[at, used]
                    least = (cost + chance * ahead[bins][:, None, open_]).min(axis=1)
                    towards_it = below[np.ix_(bins, open_)] == (sign > 0)
                    best[bins] = np.where(towards_it, np.minimum(best[bins], least), best[bins])
            changed = np.abs(best - ahead[:, open_]).max(0) >= 0.02
            ahead[:, open_[changed]] = best[:, changed]
            open_ = open_[changed]
            if not len(open_):
                break
        return ahead, moved

    def begin(self, state: VerifyState, cells: BoolArray) -> FloatArray:
        """Return the knob value of the RESETs by which cells above their window begin: spread, to learn from."""
        if cells.sum() < MANY:
            value = self._first.begin(state, cells)
        else:
            ramp = self.reset_ramp
            rank = np.cumsum(cells.ravel()).reshape(cells.shape)
            share = np.asarray(rank * GOLDEN % 1.0, np.float64)
            value = ramp.start + (ramp.stop - ramp.start) * share
        self._value = np.where(cells, value, self._value)
        self._first.note(cells, np.full(cells.shape, -1, np.int8), value)
        return value

    def learn(self, state: VerifyState) -> None:
        """Look at what the last pulses did."""
        self._first.learn(state)
        for sign in SIGNS:
            mine = state.fired & (state.sign == sign) & np.isfinite(state.before) & np.isfinite(state.g)
            if not mine.any():
                continue
            shift = self._shifts[sign]
            own = self._value - shift.mean
            moved = mine & (np.abs(state.g - state.before) > np.maximum(3.0 * state.sigma, 0.02 * np.abs(state.before)))
            if self._transitions.seen(sign) >= ENOUGH:
                off, spread = self._deviation(sign, state, own)
                partial = mine & (self._value < self._ramps[sign].stop - 1e-9)
                shift.learn(partial & (moved | (off > 0.0)), off, spread)
                own = self._value - shift.mean
            # Cells that answer nothing would in time be all that is heard of.
            heard = mine & (moved | (state.stalls <= 1))
            self._transitions.add(sign, state.before[heard], own[heard], state.g[heard], moved[heard])

    def _deviation(self, sign: int, state: VerifyState, own: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return by how much pulses fell short of what was to be expected, and by how much they scatter, both [V]."""
        stays, landings, _ = self._transitions.law(sign)
        middles = self._transitions.middles
        mean = landings @ middles
        square = landings @ middles**2
        place = self._transitions.place(state.before)
        before = np.clip(np.nan_to_num(state.before), 0.0, self._transitions.top)
        # The response from this place along the knob: cells that stay are where they were.
        chance = stays[place]
        expected = chance * before[..., None] + (1.0 - chance) * mean[place]
        variance = chance * before[..., None] ** 2 + (1.0 - chance) * square[place] - expected**2
        step = (self._ramps[sign].stop - self._ramps[sign].start) / KNOBS
        slope = np.gradient(gaussian_filter1d(expected, 1.5, axis=-1), step, axis=-1) * sign
        knob = self._transitions.knob(sign, own)[..., None]
        curves = expected, slope, np.sqrt(np.maximum(variance, 0.0))
        here, rate, scatter = (np.take_along_axis(one, knob, axis=-1)[..., 0] for one in curves)
        steep = rate > 0.3 * slope.max(axis=-1)
        rate = np.where(steep & (rate > 0.0), rate, np.nan)
        return (here - np.minimum(state.g, self._transitions.top)) * sign / rate, scatter / rate

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learnt of the array and of every cell."""
        kept: dict[str, NDArray[Any]] = {"value": self._value}
        for name, part in self._parts().items():
            kept |= {f"{name}.{key}": value for key, value in part.arrays().items()}
        return kept

    def restore(self, arrays: Arrays) -> None:
        """Take up what was learnt."""
        self._value = arrays["value"]
        for name, part in self._parts().items():
            start = f"{name}."
            part.restore({key.removeprefix(start): one for key, one in arrays.items() if key.startswith(start)})

    def _parts(self) -> dict[str, Any]:
        return {
            "first": self._first, "transitions": self._transitions, "set": self._shifts[1], "reset": self._shifts[-1],
        }  # fmt: skip


class _Windows:
    """The windows of a goal, each with its cells; ``edges`` [windows, 2] [S] are their ends."""

    def __init__(self, goal: Goal) -> None:
        known = np.isfinite(goal.target)
        edges = np.stack([np.where(known, goal.low, 0.0), np.where(known, goal.high, 0.0)], axis=-1)
        self.edges, index = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
        self._of = index.reshape(goal.target.shape)
        if len(self.edges) > WINDOWS_MOST:
            picked = np.unique(np.linspace(0, len(self.edges) - 1, WINDOWS_MOST).round().astype(np.int64))
            nearest = np.abs(np.arange(len(self.edges))[:, None] - picked).argmin(axis=1)
            self.edges, self._of = self.edges[picked], nearest[self._of]

    def of(self, cells: BoolArray) -> Generator[tuple[int, BoolArray]]:
        """Yield every window that some of ``cells`` have, and which."""
        for index in np.unique(self._of[cells]):
            yield int(index), cells & (self._of == index)
