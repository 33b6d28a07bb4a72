"""What a check is, and all of them in the order they are done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..instruments.array_spec import ability_of
from .subject import NotHereError, Subject


@dataclass(frozen=True)
class Check:
    """One thing the contract asks for.

    Attributes
    ----------
    name : str
        Group and what must hold, as in ``reads: currents have the sign of the voltage``.
    run : callable
        Raises ``BrokenError`` where it does not, ``NotHereError`` where it cannot be said.
    needs : type, optional
        Kind of ability it is about.
    """

    name: str
    run: Callable[[Subject], None]
    needs: type | None = None

    def on(self, subject: Subject) -> None:
        """Hold an array to it; raise ``NotHereError`` where the array does not declare what it is about."""
        __tracebackhide__ = True
        if self.needs is not None and not subject.spec.can(self.needs):
            wanted = ability_of(self.needs)
            raise NotHereError(f"{subject.spec.name} does not declare {wanted.name}: it would need {wanted.needs}")
        self.run(subject)


class Group:
    """Collects the checks of one module: ``@GROUP.check("currents have the sign of the voltage")``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checks: list[Check] = []

    def check(
        self, what: str, *, needs: type | None = None
    ) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
        """Add a function as a check of this group."""

        def added(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
            self.checks.append(Check(f"{self.name}: {what}", run, needs))
            return run

        return added
