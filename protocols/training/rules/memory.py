"""What a rule remembers belongs to the weights it is attached to, and is forgotten with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....common.errors import RefusedError

if TYPE_CHECKING:
    from ..layers.array_weights import ArrayWeights


class RuleMemory:
    """The part of every rule that says whose cells it remembers something of."""

    _attached: ArrayWeights | None = None

    def forget(self) -> None:
        """Forget everything that was remembered of cells; a rule that remembers nothing has nothing to do."""

    def attach(self, weights: ArrayWeights) -> None:
        """Belong to ``weights``: what was remembered of any others is forgotten."""
        if self._attached is not weights:
            self._anew(weights)

    def adopt(self, weights: ArrayWeights) -> None:
        """Take cells that something else has programmed as they were last read: nothing is remembered of before."""
        self._anew(weights)

    def _anew(self, weights: ArrayWeights) -> None:
        self.forget()
        self._attached = weights

    def _mine(self, weights: ArrayWeights) -> None:
        """Refuse cells that another model's rule remembers."""
        if self._attached is None:
            self._attached = weights
        if self._attached is not weights:
            raise RefusedError(
                f"this {type(self).__name__} is attached to the weights of another model: make a rule for each, or "
                "attach it to these, which forgets the others"
            )
