"""The picture of the rooms shows the rooms there are, and one can read it."""

from __future__ import annotations

import importlib.util
import sys
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "docs" / "figures" / "make_architecture.py"


@pytest.fixture(scope="module")
def picture():
    spec = importlib.util.spec_from_file_location("make_architecture", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_room_and_folder_is_in_the_picture_and_no_other(picture) -> None:
    for room in picture.ROOMS:
        if not room.name.endswith("/"):
            assert (ROOT / room.name).is_file()
            continue
        drawn = {part.name.rstrip("/") for floor in room.floors for part in floor if part.name.endswith("/")}
        there = {path.parent.name for path in (ROOT / room.name).glob("*/__init__.py")}
        assert drawn == (there if room.floors else set()), f"{room.name}: run {SCRIPT.relative_to(ROOT)} after a change"


def test_the_picture_is_the_one_its_script_makes(picture) -> None:
    with Image.open(picture.PICTURE) as image:
        assert image.info["Description"] == picture.signature(), f"run python {SCRIPT.relative_to(ROOT)}"


def test_no_text_leaves_its_box_or_covers_another(picture) -> None:
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure, texts = picture.draw()
        to_data = figure.axes[0].transData.inverted().transform
        extents = [to_data(text.get_window_extent().corners()) for text, _ in texts]
    spans = [(e[:, 0].min(), e[:, 0].max(), e[:, 1].min(), e[:, 1].max()) for e in extents]
    for (text, (x, y, width, height)), (left, right, low, high) in zip(texts, spans, strict=True):
        inside = x <= left and right <= x + width and y <= low and high <= y + height
        assert inside, text.get_text()
    for (one, a), (other, b) in combinations(zip((text.get_text() for text, _ in texts), spans, strict=True), 2):
        apart = a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]
        assert apart, f"{one!r} and {other!r}"
