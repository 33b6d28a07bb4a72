"""A transition parser of two stacks (Ding & Koehn, 2019): words that are taken in, and words that still come.

The buffer is a stack, too: it is filled from the last word to the first, and from then on only popped, which moves its
pointers and multiplies nothing. The stack is computed at every step for every sentence, as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import LstmCell
from ..layers.stack import StackedRecurrent, Stacks

NONE = -1
"""In the place of an action or a tag where there is none."""
Moves = tuple[int, int, int, int]
"""How a transition moves the pointers of stack and buffer, and the words either must have for it."""


class StackParser(nn.Module):
    """Stack and buffer, and a dense layer on both their tops that scores the transitions.

    Parameters
    ----------
    stack, buffer : of words, each a one of its tag
    dense : [2·hidden] → transitions
    transitions : what each does
    tags : kinds of words, the root among them
    """

    moves: Tensor
    least: Tensor

    def __init__(
        self,
        stack: StackedRecurrent,
        buffer: StackedRecurrent,
        dense: nn.Module,
        transitions: Sequence[Moves],
        tags: int,
    ) -> None:
        super().__init__()
        self.stack, self.buffer, self.dense, self.tags = stack, buffer, dense, tags
        self.register_buffer("moves", torch.tensor([(0, 0), *(one[:2] for one in transitions)]))
        self.register_buffer("least", torch.tensor([one[2:] for one in transitions]))

    def forward(self, tags: Tensor, actions: Tensor) -> Tensor:
        """Return scores [batch, transitions, steps] before each of ``actions`` [batch, steps], which are taken.

        Parameters
        ----------
        tags : [batch, words + 1], the root behind the last word, −1 after it
        actions : numbers of transitions, −1 for none
        """
        seen: list[Tensor] = []
        stack, buffer, words = self._loaded(tags)
        for action in actions.T:
            seen.append(torch.cat([stack.tops[0], buffer.tops[0]], 1))
            stack, buffer = self._taken(action, stack, buffer, words)
        return self.dense(torch.stack(seen)).permute(1, 2, 0)

    def parse(self, tags: Tensor, steps: int) -> Tensor:
        """Return the transitions [batch, steps] that score highest of those possible; −1 where none is.

        Parameters
        ----------
        tags : as of ``forward``
        """
        taken: list[Tensor] = []
        with torch.no_grad():
            stack, buffer, words = self._loaded(tags)
            for _ in range(steps):
                scores: Tensor = self.dense(torch.cat([stack.tops[0], buffer.tops[0]], 1))
                height = torch.stack([stack.at, buffer.at], 1)
                possible = (height[:, None] >= self.least).all(2)
                best = scores.masked_fill(~possible, -torch.inf).argmax(1)
                taken.append(torch.where(possible.any(1), best, NONE))
                stack, buffer = self._taken(taken[-1], stack, buffer, words)
        return torch.stack(taken, 1)

    def _loaded(self, tags: Tensor) -> tuple[Stacks, Stacks, Tensor]:
        """Return an empty stack, a full buffer, and the words as ones [batch, words + 1, tags]; none after the root."""
        known = tags != NONE
        words = functional.one_hot(tags.clamp_min(0), self.tags).float() * known[..., None]
        buffer = self.buffer.empty(len(tags))
        for n in reversed(range(tags.shape[1])):
            buffer = self.buffer.step(words[:, n], known[:, n].long(), buffer)
        return self.stack.empty(len(tags)), buffer, words

    def _taken(self, action: Tensor, stack: Stacks, buffer: Stacks, words: Tensor) -> tuple[Stacks, Stacks]:
        """Return stack and buffer after an action of every sentence; what is pushed is the word at the front."""
        ops = self.moves[action + 1]
        front = (words.sum((1, 2)).long() - buffer.at).clamp_max(words.shape[1] - 1)
        given = words[torch.arange(len(words)), front]
        return self.stack.step(given, ops[:, 0], stack), self.buffer.moved(buffer, ops[:, 1])


def array_parser(weights: ArrayWeights, transitions: Sequence[Moves], tags: int, words: int) -> StackParser:
    """Return the parser of sentences of up to ``words`` words on layers ``stack``, ``buffer`` and ``dense``."""
    stack, buffer = (
        StackedRecurrent(ArrayRecurrent(weights, name, features=tags, bias=True), words + 1)
        for name in ("stack", "buffer")
    )
    return StackParser(stack, buffer, ArrayLinear(weights, "dense", bias=True), transitions, tags)


def twin_parser(transitions: Sequence[Moves], tags: int, hidden: int, words: int, *, seed: int) -> StackParser:
    """Return the parser's float twin, initialised at random."""
    torch.manual_seed(seed)
    stack, buffer = (
        StackedRecurrent(TwinRecurrent(tags, hidden, bias=True, cell=LstmCell()), words + 1) for _ in range(2)
    )
    return StackParser(stack, buffer, nn.Linear(2 * hidden, len(transitions)), transitions, tags)
