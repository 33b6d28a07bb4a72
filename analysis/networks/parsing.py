"""Heads that a parser gave: how many are right, what needs no network, and a figure by kind of word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..plots.plots import FAINT, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IntArray = NDArray[np.int64]
NONE = -1
"""A head or a tag where there is no word."""


def attachment_score(found: IntArray, heads: IntArray) -> float:
    """Return the fraction of words whose head is right; ``heads`` [sentences, words], −1 where there is no word."""
    words = heads != NONE
    return float((found == heads)[words].mean())


def commonest_distance(tags: IntArray, heads: IntArray, asked: IntArray) -> IntArray:
    """Return the heads of ``asked`` by what is commonest for a tag: a distance to the head, or the root.

    Parameters
    ----------
    tags : [sentences, words + 1] that is learned from, the root behind the last word and −1 after it
    heads : [sentences, words] of these, −1 after the last word
    asked : tags of the sentences that are to be given heads

    Returns
    -------
    [sentences, words], −1 where there is no word, or no word at that distance
    """
    width = heads.shape[1]
    place, known = np.arange(width), heads != NONE
    to_root = heads == known.sum(1, keepdims=True)
    distance = np.where(to_root, width + 1, heads - place)
    learned = {
        int(tag): np.unique(distance[known & (tags[:, :width] == tag)], return_counts=True)
        for tag in np.unique(tags[:, :width][known])
    }
    commonest = {tag: int(values[counts.argmax()]) for tag, (values, counts) in learned.items()}
    words = (asked != NONE).sum(1, keepdims=True) - 1
    step = np.full_like(asked[:, :width], width + 1)
    for tag, most in commonest.items():
        step[asked[:, :width] == tag] = most
    found = np.where(step == width + 1, words, place + step)
    return np.where((place < words) & (found >= 0) & (found <= words), found, NONE)


@styled
def attachment_figure(names: Sequence[str], tags: IntArray, heads: IntArray, found: Mapping[str, IntArray]) -> Figure:
    """Draw the fraction of right heads for each kind of word, a bar for everyone who gave some.

    Parameters
    ----------
    names : of the tags
    tags, heads : as of :func:`commonest_distance`
    found : who -> heads given
    """
    own = np.where(heads != NONE, tags[:, : heads.shape[1]], NONE)
    there = [tag for tag in range(len(names)) if (own == tag).any()]
    figure, ax = new_figure(7.2, 4.2)
    width = 0.8 / len(found)
    for n, (who, given) in enumerate(found.items()):
        share = [100.0 * float((given == heads)[own == tag].mean()) for tag in there]
        at = np.arange(len(there)) + (n - 0.5 * (len(found) - 1)) * width
        ax.bar(at, share, width, color=(PALETTE[0], PALETTE[1], FAINT)[n % 3], label=who)
    labels = [f"{names[tag]}\n{int((own == tag).sum()):,}" for tag in there]
    ax.set_xticks(range(len(there)), labels, fontsize=8)
    ax.set(
        xlabel="Kind of word, and how many", ylabel="Heads right (%)", ylim=(0.0, 119.0), title="Heads by kind of word"
    )
    ax.set_yticks(range(0, 101, 20))
    ax.legend(loc="upper center", ncols=len(found), fontsize=8)
    return figure
