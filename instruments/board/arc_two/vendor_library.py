"""A vendor's Python library, imported late, or what stands for it on a mock bench: ``library: bench.yaml@xbarlab``.

What follows the ``@`` is a name of the entry points ``xbarlab.libraries``: a function of the library's name and the
file before the ``@`` that returns an object with the library's names.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ....common import plugins
from ....common.errors import RefusedError


def vendor_library(chosen: str, name: str, *, extra: str, who: str) -> Any:
    """Return the library ``name``, or what ``chosen`` puts in its place.

    Parameters
    ----------
    chosen : str
        The library's own name, or ``file@backend``.
    extra : str
        The extra of this package that installs it, for the refusal.
    who : str
        Begins the refusal.

    Raises
    ------
    RefusedError
        It is not installed, or cannot be loaded here; nothing was opened.
    """
    file, at, backend = chosen.rpartition("@")
    if at:
        return plugins.load(plugins.LIBRARIES, backend)(name, file)
    if chosen != name:
        raise RefusedError(f"{who}: library is {chosen!r}: write {name}, or bench.yaml@xbarlab for a mock bench")
    try:
        return import_module(name)
    except ImportError as error:
        raise RefusedError(
            f"{who}: the library {name} cannot be loaded ({error}): install it by pip install 'xbarlab[{extra}]', on "
            "a system and a Python that it has wheels for; library: bench.yaml@xbarlab needs none"
        ) from error
