"""What can go wrong, by who says so: we refuse, the instrument reports, or the connection is lost."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from .array_spec import Block


class XbarlabError(Exception):
    """Base of every error this package raises on purpose; ``exit_code`` is what the CLI ends with."""

    exit_code = 3

    def __str__(self) -> str:
        # QCoDeS appends "setting x to y" to ``args`` on the way up; people are shown the sentence, not a tuple.
        return str(self.args[0]) if self.args else ""


class RefusedError(XbarlabError, ValueError):
    """Bad input: nothing was sent to any instrument."""

    exit_code = 2


class UnsupportedError(RefusedError):
    """This array cannot do what was asked; the message says what would be needed."""


class InstrumentError(XbarlabError):
    """The instrument itself reported an error.

    Attributes
    ----------
    entries : tuple of (number, text)
        The drained error queue, oldest first.
    """

    def __init__(self, message: str, entries: Iterable[tuple[int, str]] = ()) -> None:
        super().__init__(message)
        self.entries = tuple(entries)


class GarbledReplyError(InstrumentError):
    """A reply cannot be what was asked for; whether the command was carried out is not known."""


class PowerLostError(InstrumentError):
    """The instrument has been off in the meantime: its settings are those of power-on."""


class ConnectionLostError(XbarlabError):
    """The instrument did not answer; the message names the address and what was tried."""


class ReplyLostError(ConnectionLostError):
    """One reply was lost or came late; the instrument answers again since."""


class UnconfirmedError(ConnectionLostError):
    """Pulses were sent and not confirmed: they have been given, in part or not at all.

    Attributes
    ----------
    block : Block
        The cells, to be read before anything else is done to them.
    count : int array [rows, cols]
        How many pulses each of them may have had, at most.
    """

    count: NDArray[np.int64]

    def __init__(self, message: str, block: Block, count: ArrayLike) -> None:
        import numpy as np

        super().__init__(message)
        self.block = block
        self.count = np.broadcast_to(np.asarray(count, dtype=np.int64), block.shape)


@contextmanager
def unconfirmed(block: Block, count: ArrayLike, what: str = "pulses") -> Generator[None]:
    """Say of a lost or unreadable confirmation which cells may have had how many of ``what``.

    An instrument that reports an error has said what became of the command; that passes as it is.

    Parameters
    ----------
    count : looked at only then; all zero as long as nothing has been sent.
    """
    try:
        yield
    except UnconfirmedError:
        raise
    except (ConnectionLostError, GarbledReplyError, PowerLostError) as error:
        lost = UnconfirmedError("", block, count)
        most = int(lost.count.max(initial=0))
        if not most:
            raise
        where = f"cell ({block.row0}, {block.col0})" if block.size == 1 else f"cells {block}"
        lost.args = (
            f"{error}; {where} may have had up to {most} {what}, in part or not at all: read before going on, "
            "as a resumed run does",
        )
        raise lost from error


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the sentence for an unknown ``name``, listing the alternatives and the nearest one."""
    alternatives = sorted(known)
    near = get_close_matches(str(name), alternatives, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {str(name)!r}: choose from {', '.join(alternatives) or 'nothing'}{hint}"
