"""Dependency trees drawn from a small grammar, and the arc-hybrid transitions that build them.

A configuration is a stack of words and a buffer of words with the root behind the last one. Words are numbered from 0;
the root of ``n`` words has number ``n``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError

IntArray = NDArray[np.int64]
Tags = tuple[int, ...]
TAGS = ("determiner", "adjective", "noun", "verb", "of", "with", "that", "adverb", "root")
_D, _A, _N, _V, _OF, _WITH, _THAT, _R, ROOT = range(len(TAGS))
NONE = -1
"""In the place of an action, a tag or a head where there is none."""
_DRAWN = 20190604
"""Seed of the trees: data are the same in every run, as those of a file."""
_TESTED = 0.25
"""Share of the kinds of sentences that are tested on."""
_IDLE = 5000
"""Draws without a new kind of sentence after which there are said to be no more."""


SHIFT, LEFT, RIGHT = range(3)
TRANSITIONS = ((1, -1, 0, 2), (-1, 0, 1, 1), (-1, 0, 2, 1))
"""Arc-hybrid: how shift, left-arc and right-arc move the pointers of stack and buffer, and the words either must have.

Shift takes the buffer's front; left-arc gives the stack's top the front as its head, right-arc the word below it, and
either takes it off the stack. The root is never shifted.
"""


def oracle(heads: list[int]) -> list[int]:
    """Return the transitions that build a projective tree, by the standard static oracle: an arc as soon as it can be.

    Parameters
    ----------
    heads : number of each word's head

    Raises
    ------
    RefusedError
        For heads that are no projective tree.
    """
    n = len(heads)
    waiting = [heads.count(word) for word in range(n)]
    stack, front, actions = list[int](), 0, list[int]()
    while front < n or stack:
        top = stack[-1] if stack else NONE
        done = top != NONE and not waiting[top]
        if done and heads[top] == front:
            actions.append(LEFT)
        elif done and len(stack) > 1 and heads[top] == stack[-2]:
            actions.append(RIGHT)
        elif front < n:
            actions.append(SHIFT)
            stack.append(front)
            front += 1
            continue
        else:
            raise RefusedError(
                f"heads {heads} are no projective tree with the root as number {n}: no transition is left"
            )
        stack.pop()
        if heads[top] < n:
            waiting[heads[top]] -= 1
    return actions


def heads_of(actions: list[int], words: int) -> list[int]:
    """Return the heads that transitions give to ``words`` words; −1 for those they give none."""
    stack, front, heads = list[int](), 0, [NONE] * words
    for action in actions:
        if action == SHIFT:
            stack.append(front)
            front += 1
        elif action != NONE:
            word = stack.pop()
            heads[word] = front if action == LEFT else stack[-1]
    return heads


@dataclass(frozen=True)
class Sentences:
    """Sentences of at most ``most`` words.

    Attributes
    ----------
    tags : [sentences, most + 1]
        The words' tags and the root behind the last one; −1 after it.
    heads : [sentences, most], −1 after the last word
    actions : [sentences, 2·most] of the oracle, −1 after the last one
    """

    tags: IntArray
    heads: IntArray
    actions: IntArray

    def __len__(self) -> int:
        return len(self.tags)

    @property
    def words(self) -> IntArray:
        """Words [sentences] of each."""
        return (self.heads != NONE).sum(1)

    def first(self, count: int) -> Sentences:
        """Return the first ``count``."""
        return Sentences(self.tags[:count], self.heads[:count], self.actions[:count])

    def parsed(self, actions: IntArray) -> IntArray:
        """Return the heads [sentences, most] that ``actions`` [sentences, 2·most] give; −1 where there is none."""
        found = np.full_like(self.heads, NONE)
        for n, (words, own) in enumerate(zip(self.words.tolist(), actions.tolist(), strict=True)):
            found[n, :words] = heads_of(own, words)
        return found


@lru_cache(maxsize=4)
def sentences(most: int, train: int, test: int) -> tuple[Sentences, Sentences]:
    """Return training and test sentences of 2 to ``most`` words; whose tags are in one set are not in the other.

    The grammar: a verb has a noun before it, and maybe an adverb, an object, "with" and a noun, "that" and a verb;
    a noun maybe a determiner, adjectives, "of" and a noun. What "of" and "with" belong to is so told by the stack.
    Sentences are repeated in the training set as the grammar has them, and not in the test set.
    """
    if most < 2:
        raise RefusedError(f"sentences of {most} words have no tree to learn: take 2 words or more, as 9")
    rng = np.random.default_rng([_DRAWN, most])
    to_test, kept = dict[Tags, bool](), dict[bool, list[tuple[Tags, list[int]]]]({True: [], False: []})
    idle = 0
    while idle < _IDLE or (kept[False] and len(kept[True]) >= test):
        tags, heads = _sentence(rng)
        idle += 1
        if len(tags) > most:
            continue
        new = tags not in to_test
        if new:
            idle, to_test[tags] = 0, bool(rng.random() < _TESTED)
        if new or not to_test[tags]:
            kept[to_test[tags]].append((tags, heads))
        if len(kept[False]) >= train and len(kept[True]) >= test:
            return _padded(kept[False][:train], most), _padded(kept[True][:test], most)
    raise RefusedError(
        f"there are not {test} kinds of sentences of up to {most} words to test on beside {train} to train on: take "
        f"longer sentences, or fewer of them ({len(kept[True])} to test on were found)"
    )


def _padded(drawn: list[tuple[Tags, list[int]]], most: int) -> Sentences:
    tags, heads, actions = (np.full((len(drawn), size), NONE, dtype=np.int64) for size in (most + 1, most, 2 * most))
    for n, (of, head) in enumerate(drawn):
        tags[n, : len(of) + 1] = [*of, ROOT]
        heads[n, : len(of)] = head
        actions[n, : 2 * len(of)] = oracle(head)
    return Sentences(tags, heads, actions)


@dataclass(frozen=True)
class _Word:
    tag: int
    before: list[_Word]
    after: list[_Word]

    def written(self) -> list[tuple[_Word, _Word | None]]:
        """Return the words under it and itself, in order, each with its head; its own is None."""
        before, after = (
            [(word, head or self) for one in side for word, head in one.written()] for side in (self.before, self.after)
        )
        return [*before, (self, None), *after]


def _sentence(rng: np.random.Generator) -> tuple[Tags, list[int]]:
    """Return tags and heads of a sentence."""
    written = _verb(rng).written()
    place = {id(word): n for n, (word, _) in enumerate(written)}
    heads = [len(written) if head is None else place[id(head)] for _, head in written]
    return tuple(word.tag for word, _ in written), heads


def _verb(rng: np.random.Generator) -> _Word:
    before = [_noun(rng), *([_Word(_R, [], [])] if rng.random() < 0.2 else [])]
    after: list[_Word] = []
    if rng.random() < 0.6:
        after.append(_noun(rng))
    if rng.random() < 0.2:
        after.append(_Word(_R, [], []))
    if rng.random() < 0.35:
        after.append(_Word(_WITH, [], [_noun(rng)]))
    if rng.random() < 0.2:
        after.append(_Word(_THAT, [], [_verb(rng)]))
    return _Word(_V, before, after)


def _noun(rng: np.random.Generator) -> _Word:
    before = [_Word(_D, [], [])] if rng.random() < 0.5 else []
    while rng.random() < 0.25:
        before.append(_Word(_A, [], []))
    return _Word(_N, before, [_Word(_OF, [], [_noun(rng)])] if rng.random() < 0.25 else [])
