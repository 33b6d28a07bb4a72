"""Pulses that were sent and not confirmed: who may have had how many of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import ConnectionLostError, GarbledReplyError, PowerLostError, UnconfirmedError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..block import Block


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
