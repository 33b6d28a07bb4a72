"""Things that one holder has: a second object for the same would give it back, or write it, twice."""

from __future__ import annotations

from typing import NoReturn

from .errors import RefusedError


class NotCopied:
    """Refuses to be copied or pickled; a subclass says in ``_why_not_copied`` what it is."""

    _why_not_copied = "it has one holder"

    def __copy__(self) -> NoReturn:
        raise RefusedError(f"{self._why_not_copied} and is not copied: hand over the object itself")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce__(self) -> NoReturn:
        self.__copy__()
