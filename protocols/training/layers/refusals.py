"""How a layer on an array says no to a name of torch's that it does not have."""

from __future__ import annotations

from ....common.errors import RefusedError


class RefusedAttributeError(RefusedError, AttributeError):
    """A sentence for who asks, and for ``hasattr`` the answer no."""


def is_torch_weight(name: str) -> bool:
    """Return whether ``name`` is what a torch layer calls weights of its own."""
    return name in ("weight", "bias", "all_weights", "_flat_weights") or name.startswith(("weight_", "bias_"))
