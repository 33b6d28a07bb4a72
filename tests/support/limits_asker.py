"""Requests for the limits: mostly what is allowed, often at its edge, sometimes a slip of units or no number at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xbarlab.instruments.block import Block
from xbarlab.instruments.limits import Limits

ODD: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    5e-324,
    10**400,
    -1,
    None,
    "1",
    "0.2 V",
    True,
    1 + 1j,
    b"1",
    [],
    [1],
    {},
    np.nan,
    np.float32(np.inf),
    np.array([]),
    np.array([[1.0]]),
    object(),
]


class Asker:
    """A seeded person who mostly asks for what is allowed, often at its edge, and sometimes slips."""

    def __init__(self, seed: int, allowed: Limits) -> None:
        self.rng = np.random.default_rng(seed)
        self.allowed = allowed

    def chance(self, part: float) -> bool:
        return bool(self.rng.random() < part)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def value(self, low: float, high: float, *, odd: float = 0.04) -> Any:
        """Something around ``low`` to ``high``: inside, at the edges, beyond, a slip of units, or no number at all."""
        rng, place = self.rng, self.rng.random()
        if place < odd:
            return self.pick(*ODD)
        if place < 0.55:
            made = float(rng.uniform(low, high))
        elif place < 0.8:
            edge = self.pick(low, high)
            made = float(self.pick(edge, np.nextafter(edge, np.inf), np.nextafter(edge, -np.inf), edge * (1 + 1e-7)))
        elif place < 0.9:
            made = float(rng.uniform(low, high)) * self.pick(1e3, 1e-3, 1e6, 1e9, -1.0, 10.0)
        else:
            made = float(self.pick(0.0, -0.0, 200.0, 2 * high, low - abs(high), high * 1.001))
        return self.pick(made, made, made, np.float64(made), np.float32(made), np.array(made))

    def volts(self) -> Any:
        return self.value(-self.allowed.reset_volts_max, self.allowed.set_volts_max)

    def shaped(self, make: Callable[[], Any], shape: tuple[int, ...]) -> Any:
        """One value for all, or an array of which one may be off."""
        if self.chance(0.5):
            return make()
        plane = np.full(shape, self.sane(make), dtype=np.float64)
        if self.chance(0.5):
            spot = make()
            if isinstance(spot, float | np.floating):
                plane[tuple(int(self.rng.integers(n)) for n in shape)] = spot
        return plane if self.chance(0.9) else plane.tolist()

    def sane(self, make: Callable[[], Any]) -> float:
        for _ in range(20):
            spot = make()
            if type(spot) is float and math.isfinite(spot):
                return spot
        return 0.0

    def count(self) -> Any:
        return self.pick(
            0, 1, 1, 2, 7, np.int64(3), self.allowed.count_max, self.allowed.count_max + 1, self.value(0, 9)
        )

    def width(self) -> Any:
        return self.value(self.allowed.width_min, self.pick(self.allowed.width_max, 1e-6, 1e-6))

    def gate(self) -> Any:
        return self.value(0.0, self.allowed.gate_max, odd=0.02)

    def block(self, rows: int, cols: int) -> Block:
        row, col = int(self.rng.integers(rows)), int(self.rng.integers(cols))
        extra = 1 if self.chance(0.02) else 0
        return Block(row, 1 + int(self.rng.integers(rows - row)) + extra, col, 1 + int(self.rng.integers(cols - col)))

    def points(self) -> Any:
        if self.chance(0.03):
            return np.full(self.pick(0, 10_001, 200_000), self.sane(self.volts))
        n = int(self.rng.integers(2, 12))
        if self.chance(0.6):
            top = self.rng.uniform(0, 1) * self.pick(self.allowed.set_volts_max, -self.allowed.reset_volts_max)
            plane = np.linspace(0.0, top, n)
            if self.chance(0.3):
                plane[int(self.rng.integers(n))] = self.sane(self.volts)
            return plane
        return self.shaped(self.volts, (n,))

    def number_text(self, low: float, high: float, unit: str = "V") -> str:
        made = self.value(low, high)
        if not isinstance(made, float):
            return self.pick("NAN", "INF", "MAX", "MIN", "DEF", "#H7F", "", "1e999", "9.9E37")
        text = self.pick(f"{made}", f"{made:.6g}", f"{made:g}{unit}", f"{1e3 * made:.6g} m{unit}", f"+{abs(made):.4f}")
        return text if self.chance(0.9) else text + self.pick("", " V", "kV", "e3", "EXV", "_", ",1")


def message(asker: Asker, heads: list[tuple[str, float, float, str]], fillers: list[str]) -> str:
    """A program message of one to three units, in any spelling, with paths."""
    parts: list[str] = []
    for _ in range(asker.pick(1, 1, 1, 2, 3)):
        if asker.chance(0.15):
            parts.append(asker.pick(*fillers))
            continue
        head, low, high, unit = asker.pick(*heads)
        text = asker.number_text(low, high, unit)
        head = asker.pick(head, head.lower(), head.replace("SOUR", "SOURce").replace("VOLT", "VOLTage"))
        if asker.chance(0.1):
            head = head.split(":", 1)[-1]  # taken up from the path before it
        parts.append(f"{asker.pick('', '', ':')}{head} {text}{',' + text if asker.chance(0.1) else ''}")
    return asker.pick(";", ";:", ";").join(parts)
