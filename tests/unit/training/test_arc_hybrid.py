"""Arc-hybrid transitions, the trees they build, and the parser that has to find them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xbarlab.analysis.networks.parsing import attachment_figure, attachment_score, commonest_distance
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.tasks.arc_hybrid import (
    LEFT,
    NONE,
    RIGHT,
    ROOT,
    SHIFT,
    TAGS,
    TRANSITIONS,
    heads_of,
    oracle,
    sentences,
)


def is_tree(heads: Any) -> bool:
    for first in range(len(heads)):
        seen, word = set[int](), first
        while word != len(heads):
            if word in seen:
                return False
            seen.add(word)
            word = heads[word]
    return True


def is_projective(heads: Any) -> bool:
    """Whether no two arcs cross, the root behind the last word."""
    arcs = [tuple(sorted(pair)) for pair in enumerate(heads)]
    return not any(a < c < b < d for a, b in arcs for c, d in arcs)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_every_projective_tree_is_built_and_every_other_refused(n: int) -> None:
    """All trees of up to five words: two transitions a word, each possible where it is taken."""
    built = 0
    for heads in product(range(n + 1), repeat=n):
        if not is_tree(heads):
            continue
        if not is_projective(heads):
            with pytest.raises(RefusedError, match="are no projective tree"):
                oracle(list(heads))
            continue
        actions = oracle(list(heads))
        assert len(actions) == 2 * n
        assert actions.count(SHIFT) == n
        height, front = 0, 0
        for action in actions:
            stack, buffer, least_stack, least_buffer = TRANSITIONS[action]
            assert height >= least_stack
            assert n + 1 - front >= least_buffer
            height, front = height + stack, front - buffer
        assert (height, front) == (0, n)
        assert heads_of(actions, n) == list(heads)
        built += 1
    assert built == {1: 1, 2: 3, 3: 12, 4: 55, 5: 273}[n]  # projective trees, several words at the root allowed


def test_a_sentence_by_hand() -> None:
    """ "the noun of noun verb": the oracle takes an arc as soon as it can."""
    heads = [1, 4, 1, 2, 5]
    assert oracle(heads) == [SHIFT, LEFT, SHIFT, SHIFT, SHIFT, RIGHT, RIGHT, LEFT, SHIFT, LEFT]


@given(most=st.integers(6, 12))
@settings(max_examples=7, deadline=None)
def test_sentences_are_projective_trees_and_those_of_the_test_are_new(most: int) -> None:
    train, test = sentences(most, 200, 20)
    for part in (train, test):
        assert part.tags.shape == (len(part), most + 1)
        assert np.array_equal(part.parsed(part.actions), part.heads)
        for tags, heads, words in zip(part.tags, part.heads, part.words, strict=True):
            own = heads[:words].tolist()
            assert is_tree(own)
            assert is_projective(own)
            assert own.count(words) == 1
            assert tags[words] == ROOT
            assert set(tags[words + 1 :].tolist()) <= {NONE}
    kinds = [{tuple(one) for one in part.tags.tolist()} for part in (train, test)]
    assert not kinds[0] & kinds[1]
    assert len(kinds[1]) == len(test)


def test_transitions_that_end_early_leave_words_without_a_head() -> None:
    assert heads_of([SHIFT, SHIFT, RIGHT, NONE], 3) == [NONE, 0, NONE]


def test_the_commonest_distance_is_that_of_the_training_set() -> None:
    tags = np.array([[0, 2, 3, ROOT, NONE], [2, 3, 2, 2, ROOT]])
    heads = np.array([[1, 2, 3, NONE], [1, 4, 1, 1]])
    asked = np.array([[2, 3, ROOT, NONE, NONE], [0, 1, 2, 3, ROOT]])
    found = commonest_distance(tags, heads, asked)
    # a noun: +1 twice, -1 and -2 once; a determiner: +1; a verb: the root; an adjective was not seen: the root
    assert found.tolist() == [[1, 2, NONE, NONE], [1, 4, 3, 4]]
    assert attachment_score(found, np.array([[1, 2, NONE, NONE], [1, 2, 3, 4]])) == pytest.approx(5 / 6)


def test_the_figure_shows_every_kind_of_word_that_there_is() -> None:
    train, test = sentences(9, 300, 50)
    simple = commonest_distance(train.tags, train.heads, test.tags)
    (ax,) = attachment_figure(TAGS, test.tags, test.heads, {"oracle": test.heads, "simple": simple}).axes
    bars = ax.containers
    assert len(bars) == 2
    assert {bar.get_height() for bar in bars[0]} == {100.0}
    assert min(bar.get_height() for bar in bars[1]) < 100.0


def test_the_parser_takes_only_what_is_possible() -> None:
    torch = pytest.importorskip("torch")
    from xbarlab.protocols.training.networks.stack_parser import twin_parser

    test = sentences(9, 300, 50)[1]
    for seed in range(3):
        net = twin_parser(TRANSITIONS, len(TAGS), 4, 9, seed=seed)
        actions = net.parse(torch.from_numpy(test.tags), 18).numpy()
        heads = test.parsed(actions)
        assert np.array_equal(heads != NONE, test.heads != NONE)
        assert np.array_equal(actions != NONE, test.actions != NONE)
        assert (np.sort(actions, 1) != NONE).sum() == 2 * test.words.sum()


@pytest.mark.slow
def test_a_parser_that_learns_finds_the_trees() -> None:
    """Its scores before every transition come from the tops then: greedy parsing of its own beats what needs no net."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    from xbarlab.protocols.training.networks.stack_parser import twin_parser

    train, test = sentences(7, 1000, 60)
    net = twin_parser(TRANSITIONS, len(TAGS), 8, 7, seed=1)
    tags, actions = torch.from_numpy(train.tags), torch.from_numpy(train.actions)
    optimiser = torch.optim.Adam(net.parameters(), 0.03)
    for first in range(0, 3000, 50):
        at = torch.arange(first, first + 50) % 1000
        optimiser.zero_grad()
        functional.cross_entropy(net(tags[at], actions[at]), actions[at], ignore_index=NONE).backward()
        optimiser.step()
    score = attachment_score(test.parsed(net.parse(torch.from_numpy(test.tags), 14).numpy()), test.heads)
    simple = attachment_score(commonest_distance(train.tags, train.heads, test.tags), test.heads)
    assert simple < 0.7
    assert score > 0.9
