"""Draw ``docs/figures/architecture.png``: the rooms, their floors, and the way of one pulse (docs/architecture.md).

Run ``python docs/figures/make_architecture.py`` after a folder was added or moved; a test compares names and picture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text

PICTURE = Path(__file__).with_name("architecture.png")
WIDTH, HEIGHT = 16.0, 13.4
INK, PAPER, NUMBER = "#1c2733", "#ffffff", "#b3261e"


@dataclass(frozen=True)
class Part:
    """A folder or a few modules on a floor: names as in the tree, what it is for, its number on a pulse's way."""

    name: str
    words: str = ""
    number: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class Room:
    """A room of the house: floors from the top down, parts of a floor side by side."""

    name: str
    words: str
    colour: str
    floors: tuple[tuple[Part, ...], ...]
    box: tuple[float, float, float, float]


def bar(bottom: float, height: float) -> tuple[float, float, float, float]:
    """Return the box of a room that spans the house."""
    return 0.25, bottom, WIDTH - 0.5, height


ROOMS = (
    Room("cli.py", "the xbarlab command: the only place that knows everyone", "#e8e3f3", (), bar(12.6, 0.55)),
    Room(
        "twin/",
        "a mock of your chip",
        "#f6e9ef",
        (
            (
                Part("fitting/", "measurements → profile", "", 1.1),
                Part("fit_report/", "error held out"),
                Part("replay/", "protocols on a model"),
                Part("rehearsal/", "runs on drawn chips", "", 1.1),
            ),
        ),
        bar(11.2, 1.2),
    ),
    Room(
        "runbooks/",
        "what an operator runs",
        "#dfe9f6",
        (
            (
                Part("*.md", "the texts", "1", 0.8),
                Part("commands/", "list, export, by hand …"),
                Part("runner/", "reads, checks, runs, resumes", "2", 1.2),
                Part("stations/", "shipped ones, open_bench"),
            ),
        ),
        bar(9.75, 1.2),
    ),
    Room(
        "protocols/",
        "what we do to a chip; sees a CrossbarArray and a clock, never a mock",
        "#dff0e6",
        (
            (
                Part("forming/"),
                Part("programming/", "read-verify, ISPP", "3"),
                Part("training/", "layers, rules, networks, tasks", "", 1.25),
                Part("pretrained/", "", "", 0.6),
                Part("converters/", "", "", 0.6),
            ),
            (Part("measure/", "one file per measurement"), Part("keeping/", "run folder, journal, units, datasets")),
        ),
        bar(7.6, 1.9),
    ),
    Room(
        "analysis/",
        "numbers and figures",
        "#fdf0d9",
        (
            (Part("own_data/", "any bench's"), Part("exports/", "for others")),
            (Part("report/", "one page per run"),),
            (Part("programming/", "levels, retention"),),
            (Part("measurements/", "one file each"), Part("networks/", "training", "", 0.8)),
            (Part("measured_data/", "of any bench, what was done"),),
            (Part("plots/", "axes, colours"), Part("estimates/", "intervals")),
            (Part("quantities.py", "what a key means"),),
        ),
        (0.25, 1.35, 4.3, 6.0),
    ),
    Room(
        "instruments/",
        "what the lab can do",
        "#fbe4dd",
        (
            (Part("station/", "station file → bench, locks, safe exits"),),
            (Part("probe/"), Part("joined/"), Part("board/", "", "4"), Part("arc_two/")),
            (Part("drivers/", "one file each"), Part("chip/", "file, wear")),
            (Part("wire/", "exchange, guard, recovery, wire log", "5"),),
            (Part("capabilities · abilities · limits · errors", "the records everyone speaks"),),
        ),
        (4.75, 1.35, 5.0, 6.0),
    ),
    Room(
        "mockhw/",
        "the other end of the cable",
        "#e3eef0",
        (
            (Part("front_ends/", "in process, TCP", "6"), Part("visa_backend/", share=0.62)),
            (Part("bench/", "bench file → simulated instruments"),),
            (Part("instruments/", "one folder per model", "8"),),
            (Part("probe_circuit/", "cables, relays"), Part("scpi/", "bytes to calls", "7")),
            (Part("passive_chip/"), Part("chip/", "1T1R, wires", "9")),
            (Part("device_models/", "filament …", "10"), Part("profiles/", "numbers + source", "", 0.8)),
        ),
        (10.75, 1.35, 5.0, 6.0),
    ),
    Room(
        "common/",
        "no commands, no physics: errors, files that are read with bounds, plug-ins",
        "#ececec",
        (),
        bar(0.55, 0.55),
    ),
)
NOTES = (
    (
        8.0,
        0.22,
        "An import only goes down. analysis, instruments and mockhw do not know each other. "
        "1 … 10: the way of one pulse.",
    ),
)


def signature() -> str:
    """Return what the picture shows, in short: kept in the picture, so that a stale one is seen."""
    return hashlib.sha256(repr((ROOMS, NOTES)).encode()).hexdigest()[:16]


def draw() -> tuple[Figure, list[tuple[Text, tuple[float, float, float, float]]]]:
    """Return the picture, and every text with the box it has to stay in."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.set_axis_off()
    texts: list[tuple[Text, tuple[float, float, float, float]]] = []
    for room in ROOMS:
        _room(axes, room, texts)
    for x, y, words in NOTES:
        texts.append((axes.text(x, y, words, ha="center", va="center", size=11, color=INK), (0, 0, WIDTH, 0.5)))
    _wire(axes, texts)
    return figure, texts


def _room(axes: Axes, room: Room, texts: list[tuple[Text, tuple[float, float, float, float]]]) -> None:
    x, y, width, height = room.box
    _box(axes, room.box, room.colour, 1.2)
    head = y + height - 0.3
    name = axes.text(x + 0.2, head, room.name, ha="left", va="center", size=14, weight="bold", color=INK)
    texts.append((name, room.box))
    after = axes.transData.inverted().transform(name.get_window_extent().corners())[:, 0].max()
    words = axes.text(after + 0.2, head, room.words, ha="left", va="center", size=10.5, color=INK)
    texts.append((words, room.box))
    if not room.floors:
        return
    top, bottom, gap = y + height - 0.58, y + 0.15, 0.12
    each = (top - bottom - gap * (len(room.floors) - 1)) / len(room.floors)
    for floor, parts in enumerate(room.floors):
        low = top - (floor + 1) * each - floor * gap
        whole = sum(part.share for part in parts)
        left, free = x + 0.15, width - 0.3 - gap * (len(parts) - 1)
        for part in parts:
            box = (left, low, free * part.share / whole, each)
            _part(axes, part, box, texts)
            left += box[2] + gap


def _part(
    axes: Axes,
    part: Part,
    box: tuple[float, float, float, float],
    texts: list[tuple[Text, tuple[float, float, float, float]]],
) -> None:
    x, y, width, height = box
    _box(axes, box, PAPER, 0.8)
    left = x + 0.14
    if part.number:
        axes.add_patch(Circle((x + 0.26, y + height / 2), 0.17, color=NUMBER))
        texts.append(
            (
                axes.text(
                    x + 0.26,
                    y + height / 2,
                    part.number,
                    ha="center",
                    va="center",
                    size=9.5,
                    color=PAPER,
                    weight="bold",
                ),
                (x + 0.08, y, 0.36, height),
            )
        )
        left = x + 0.52
    room = (left - 0.02, y, x + width - left, height)
    two = part.words and height > 0.55
    name_at = y + height / 2 + (0.15 if two else 0.0)
    name = axes.text(left, name_at, part.name, ha="left", va="center", size=11, weight="bold", color=INK)
    texts.append((name, room))
    if part.words:
        if two:
            words = axes.text(left, y + height / 2 - 0.15, part.words, ha="left", va="center", size=9, color=INK)
        else:
            words = axes.text(x + width - 0.12, name_at, part.words, ha="right", va="center", size=9, color=INK)
        texts.append((words, room))


def _box(axes: Axes, box: tuple[float, float, float, float], colour: str, line: float) -> None:
    x, y, width, height = box
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor=INK, linewidth=line)
    )


def _wire(axes: Axes, texts: list[tuple[Text, tuple[float, float, float, float]]]) -> None:
    """The only thing that drivers and simulated instruments share."""
    axes.add_patch(
        FancyArrowPatch(
            (9.62, 3.1), (10.88, 6.2), arrowstyle="<->", mutation_scale=16, color=NUMBER, linewidth=1.8
        )
    )  # fmt: skip
    for y, words in ((3.6, "the wire:"), (3.35, "bytes"), (3.1, "only")):
        box = (9.93, y - 0.12, 0.8, 0.24)
        texts.append((axes.text(10.33, y, words, ha="center", va="center", size=9.5, color=NUMBER), box))


def main() -> None:
    """Write the picture."""
    mpl.rcParams["font.family"] = "DejaVu Sans"
    figure, _ = draw()
    figure.savefig(PICTURE, metadata={"Description": signature(), "Software": ""})


if __name__ == "__main__":
    main()
