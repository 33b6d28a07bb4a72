"""Text as a stream of characters to predict: shipped or one's own, with an alphabet that fits an array."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from .stored import load_stored

SHIPPED = "hamlet"
SYMBOLS_MAX = 4096
"""Most characters of a text that is not folded."""
_BYTES_MAX = 64 << 20
_LEAST = 200
"""Fewest characters there can be something to learn of."""
PART_LEAST = 20
"""Fewest characters of each part that a text is cut into."""
_REST = "\N{REPLACEMENT CHARACTER}"
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class CharacterText:
    """A text as numbers of characters, cut into a part to train on, one to choose by and one to test on.

    ``symbols`` are the characters by their numbers; ``rest`` is the share of the text that the last of them stands for
    without being it [fraction].
    """

    name: str
    source: str
    licence: str
    symbols: tuple[str, ...]
    rest: float
    train: Codes
    validation: Codes
    test: Codes

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Characters of the three parts."""
        return len(self.train), len(self.validation), len(self.test)

    @property
    def about(self) -> str:
        """What it is, in a sentence."""
        alphabet = "".join(shown(one) for one in self.symbols)
        kept = f"; the last stands for all others, {self.rest:.2%} of the text" if _REST in self.symbols else ""
        train, validation, test = self.sizes
        return (
            f"{self.name}: {train + validation + test:,} characters, the first {train:,} to train on, the next "
            f"{validation:,} to look at meanwhile, the last {test:,} to test on; {len(self.symbols)} symbols "
            f"“{alphabet}”{kept}. Source: {self.source}, {self.licence}"
        )


def shown(symbol: str) -> str:
    """Return a symbol as it is written where white space would not be seen."""
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(symbol, symbol)


def folded(text: str) -> str:
    """Return ``text`` in lower case, every run of white space one blank."""
    return re.sub(r"\s+", " ", text.lower())


def character_text(text: str, *, fold: bool, characters: int, validation: float, test: float) -> CharacterText:
    """Return a text by the name of a shipped one, or of a file of one's own in UTF-8.

    Parameters
    ----------
    fold : lower case, runs of white space one blank
    characters : most symbols; where there are more, the rarest share the last
    validation, test : shares of the text [fraction]

    Raises
    ------
    RefusedError
        For a text that is missing, no UTF-8, empty, too short or too long.
    """
    return _prepared(text, _stamp(text), fold, characters, validation, test)


def _stamp(text: str) -> tuple[float, int]:
    """Return what changes with a file, so that one that was edited is read again."""
    path = Path(text)
    if text == SHIPPED or not path.is_file():
        return 0.0, 0
    found = path.stat()
    return found.st_mtime, found.st_size


@lru_cache(maxsize=8)
def _prepared(
    text: str, stamp: tuple[float, int], fold: bool, characters: int, validation: float, test: float
) -> CharacterText:
    del stamp
    name, source, licence, whole = _read(text)
    if fold:
        whole = folded(whole).strip()
    if len(whole) < _LEAST:
        raise RefusedError(
            f"text {name} has {len(whole)} characters{' after folding' if fold else ''}: give one of {_LEAST} or more"
        )
    symbols, rest = _alphabet(whole, characters)
    codes = _encoded(whole, symbols)
    bounds = [round((1.0 - validation - test) * len(codes)), round((1.0 - test) * len(codes))]
    parts = np.split(codes, bounds)
    if min(map(len, parts)) < PART_LEAST:
        sizes = ", ".join(f"{len(part):,}" for part in parts)
        raise RefusedError(
            f"text {name}: shares of {validation:g} and {test:g} cut it into parts of {sizes} characters, too few to "
            f"count in: each needs {PART_LEAST} or more; a longer text, or other shares"
        )
    for part in parts:
        part.setflags(write=False)
    return CharacterText(name, source, licence, symbols, rest, *parts)


def _read(text: str) -> tuple[str, str, str, str]:
    """Return name, source, licence and the text itself."""
    if text == SHIPPED:
        stored = load_stored(SHIPPED)
        return SHIPPED, str(stored["source"]), str(stored["licence"]), stored["text"].tobytes().decode("ascii")
    path = Path(text)
    if not path.is_file():
        raise RefusedError(f"text {text!r} is neither shipped ({SHIPPED}) nor a file: give the path of a text in UTF-8")
    if path.stat().st_size > _BYTES_MAX:
        raise RefusedError(f"text {path.name} has {path.stat().st_size:,} bytes, more than {_BYTES_MAX:,}: give a part")
    raw = path.read_bytes()
    try:
        whole = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(
            f"text {path.name} is not in UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; save it as UTF-8, as "
            "iconv -f latin1 -t utf-8 does for Latin-1"
        ) from None
    if "\0" in whole:
        raise RefusedError(f"text {path.name} has zero bytes, as UTF-16 and binary files do: save it as text in UTF-8")
    if not whole.strip():
        raise RefusedError(f"text {path.name} is empty: give one of {_LEAST} characters or more")
    return path.name, f"file {path.name}", "the user's own", whole


def _alphabet(text: str, characters: int) -> tuple[tuple[str, ...], float]:
    """Return the symbols, commonest first, and the share of the text that the last stands for."""
    counted = sorted(Counter(text).items(), key=lambda one: (-one[1], one[0]))
    if len(counted) <= characters:
        if len(counted) < 2:
            raise RefusedError(f"this text has one character, {counted[0][0]!r}, over and over: nothing to predict")
        return tuple(one for one, _ in counted), 0.0
    kept = counted[: characters - 1]
    return (*(one for one, _ in kept), _REST), 1.0 - sum(n for _, n in kept) / len(text)


def _encoded(text: str, symbols: tuple[str, ...]) -> Codes:
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)
    table = np.full(int(points.max()) + 1, len(symbols) - 1, dtype=np.int64)
    for number, one in enumerate(symbols):
        if ord(one) < len(table):
            table[ord(one)] = number
    return table[points]


def windows(codes: Codes, length: int) -> tuple[Codes, Codes]:
    """Return the text in windows beside each other: what is seen, and what comes next, [windows, length] each."""
    count = (len(codes) - 1) // length
    if not count:
        raise RefusedError(
            f"a text of {len(codes)} characters has no window of {length} and the next one: a longer text, or a "
            "shorter sequence"
        )
    whole = codes[: count * length + 1]
    return whole[:-1].reshape(count, length), whole[1:].reshape(count, length)
