"""How a Keithley 2400 is told a current limit."""

from __future__ import annotations

from ..wire.wire_text import sent

LOWEST_RANGE = 1e-6
"""Of the current [A]."""


def current_limit(compliance: float, *, from_lowest: bool = False, from_own: bool = False) -> str:
    """Return the commands of a limit ``compliance`` [A], a separator before them.

    It may be no smaller than a thousandth of the measurement range (+822), and no range larger than that of the limit
    (+824): so the range comes down first, to the lowest, or with the output on to the limit's own.
    """
    limit = f";:SENS:CURR:PROT {sent(compliance)}"
    if not from_lowest and not from_own:
        return limit
    span = LOWEST_RANGE if from_lowest else compliance
    return f";:SENS:CURR:RANG {span:.6g}{limit};:SENS:CURR:RANG:AUTO ON"
