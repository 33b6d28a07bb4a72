"""Commands of a Keithley 2450 for configuration lists: ``:SOURce:CONFiguration:LIST`` and ``:SENSe:…``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ....scpi.arguments import Integer, Text
from ....scpi.tree import Command

if TYPE_CHECKING:
    from ..core import SourceMeterCore
    from .config_lists import ConfigLists


def list_commands(smu: SourceMeterCore, lists: ConfigLists) -> list[Command]:
    """Return the commands of both kinds of lists."""
    roots = {"source": "SOURce[1]:CONFiguration:LIST", "sense": "[:SENSe[1]]:CONFiguration:LIST"}
    return [command for kind, root in roots.items() for command in _of(smu, lists, kind, root)]


def _of(smu: SourceMeterCore, lists: ConfigLists, kind: str, root: str) -> list[Command]:
    def recall(name: str, index: int = 1, other: str = "", other_index: int = 1) -> None:
        lists.size(name, kind)
        lists.recall(name, index, smu.now)
        if other:
            lists.recall(other, other_index, smu.now)

    def size(which: str) -> str:
        return str(lists.size(which, kind))

    def query(which: str, at: int, separator: str = ",") -> str:
        return lists.query(kind, which, at, separator)

    def on(act: Callable[..., None]) -> Callable[..., None]:
        return lambda *values: act(kind, *values)

    name = Text("name")
    index = Integer("index", low=1, optional=True)
    return [
        Command(f"{root}:CREate", on(lists.create), (name,)),
        Command(f"{root}:DELete", on(lists.delete), (name, index)),
        Command(f"{root}:STORe", on(lists.store), (name, index)),
        Command(f"{root}:RECall", recall, (name, index, Text("second list", optional=True), index)),
        Command(f"{root}:SIZE?", size, (name,)),
        Command(f"{root}:CATalog?", lambda: lists.catalog(kind)),
        Command(
            f"{root}:QUERy?",
            query,
            (name, Integer("index", low=1), Text("separator", optional=True)),
        ),
    ]
