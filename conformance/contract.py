"""The whole contract: every check, in the order in which they are done."""

from __future__ import annotations

from . import declared, life, products, pulses, reads, refusals, traces
from .checks import Check

CHECKS: tuple[Check, ...] = tuple(
    check for module in (declared, reads, pulses, refusals, traces, products, life) for check in module.GROUP.checks
)
"""What an array says, does, refuses and how it ends."""
