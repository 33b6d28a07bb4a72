"""Who owns the chips on a bench, and where what they bear is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..chip.unattributed import Unattributed
from ..chip.wear_ledger import WearLedger
from ..chip.wear_store import WearStore, wear_file
from ..joined.array import JoinedArrays
from ..joined.wear import JoinedWear
from .bench_lock import BenchLock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..capabilities import CrossbarArray
    from ..chip.chip_file import Chip
    from .station_file import StationFile


def own_chips(
    file: StationFile, array: CrossbarArray, beside: Iterable[object] = ()
) -> tuple[BenchLock | None, WearLedger | JoinedWear]:
    """Lock the chips themselves, which may sit on another bench next, and open their accounts.

    Every chip has its own, under its own id, also where several boards are one array. Simulated chips are not locked.

    Parameters
    ----------
    beside : instruments of the station that are no part of the array
        What they drive is counted without a cell: nobody knows what it reaches.

    Raises
    ------
    RefusedError
        A chip is in use, or its account cannot be opened; then no lock and no account is held.
    """
    simulated = array.spec.simulated
    owned: list[tuple[CrossbarArray, Chip | None, str | None]]
    if isinstance(array, JoinedArrays):
        named = zip(array.boards, file.boards.items(), strict=True)
        owned = [(board, chip, file.account(simulated=simulated, board=name)) for board, (name, chip) in named]
    else:
        owned = [(array, file.chip, file.account(simulated=simulated))]
    accounts = tuple(f"chip {account}" for _, _, account in owned if account is not None)
    lock = BenchLock(accounts, holder=str(file.path)) if accounts and not simulated else None
    if lock is not None:
        lock.acquire()
    ledgers: list[WearLedger] = []
    try:
        for one in owned:
            ledgers.append(_open_account(file, *one))
    except BaseException:
        for ledger in ledgers:
            ledger.close()
        if lock is not None:
            lock.release()
        raise
    account = ledgers[0] if len(ledgers) == 1 else JoinedWear(ledgers, array.spec)
    for instrument in beside:
        if hasattr(instrument, "stress"):
            instrument.stress = Unattributed(lambda: account, array.spec.limits)  # pyright: ignore[reportAttributeAccessIssue]
    return lock, account


def _open_account(file: StationFile, array: CrossbarArray, chip: Chip | None, account: str | None) -> WearLedger:
    """Open the account of one chip and hand it to the array it is on."""
    spec = array.spec
    shape = spec.rows, spec.cols
    if account is None:
        ledger = WearLedger(chip.id if chip is not None else spec.name, shape, limits=spec.limits)
    else:
        store = WearStore(wear_file(file.wear, beside=file.path.parent))
        birth = str(getattr(getattr(array, "identity", None), "birth", ""))
        ledger = WearLedger(account, shape, store=store, limits=spec.limits, birth=birth)
    if hasattr(array, "wear"):
        array.wear = ledger  # pyright: ignore[reportAttributeAccessIssue]
    return ledger
