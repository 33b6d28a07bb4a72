"""A plug-in without a package: one Python file, run because somebody named it on the command line, and only then."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from . import plugins
from .errors import RefusedError, XbarlabError
from .files import read_bytes


@dataclass(frozen=True, slots=True)
class PluginFile:
    """A plug-in file as it was read: where it is, what it holds, and its hash."""

    path: Path
    content: bytes
    sha256: str

    @classmethod
    def read(cls, path: str | Path) -> PluginFile:
        """Read a plug-in file; nothing of it is run."""
        place = Path(path).expanduser().resolve()
        if place.suffix != ".py":
            raise RefusedError(f"plug-in file {place} is no Python file: name one that ends in .py")
        content = read_bytes(place, "plug-in file")
        return cls(place, content, hashlib.sha256(content).hexdigest())

    def run(self) -> list[plugins.Entry]:
        """Run the file, unless this content of it has run already, and return what it offers.

        Raises
        ------
        RefusedError
            Where it cannot be run, offers nothing, or offers a name that is taken.
        """
        origin, module = str(self.path), f"xbarlab_plugin_{self.sha256[:16]}_{self.path.stem}"
        known = plugins.held_by(origin)
        if known and module in sys.modules:
            return known
        plugins.forget(origin)
        spec = spec_from_loader(module, _Held(self), origin=origin)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = made = module_from_spec(spec)
        try:
            with plugins.registering(origin, module):
                spec.loader.exec_module(made)
        except BaseException as error:
            plugins.forget(origin)
            del sys.modules[module]
            if isinstance(error, XbarlabError) or not isinstance(error, Exception | SystemExit):
                raise
            raise RefusedError(f"plug-in {self._where(error)}: {type(error).__name__}: {error}") from error
        offers = plugins.held_by(origin)
        if not offers:
            raise RefusedError(
                f"plug-in {origin} offers nothing: put @step(metrics=…) above a function of it, or @offer(kind, name)"
            )
        return offers

    def _where(self, error: BaseException) -> str:
        """Return ``file:line``, the last line of the file on the way to the error."""
        if isinstance(error, SyntaxError) and error.lineno:
            return f"{self.path}:{error.lineno}"
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)
        ]
        return f"{self.path}:{lines[-1]}" if lines else str(self.path)


class _Held(SourceLoader):
    """Runs exactly the bytes that were hashed; writes no bytecode beside them."""

    def __init__(self, file: PluginFile) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:
        del fullname
        return str(self._file.path)

    def get_data(self, path: str | bytes) -> bytes:
        if str(path) != str(self._file.path):
            raise OSError("there is no bytecode of a plug-in file")
        return self._file.content


def run_files(paths: Iterable[str | Path]) -> tuple[PluginFile, ...]:
    """Run plug-in files, each once, and return them."""
    files = {file.path: file for file in map(PluginFile.read, paths)}
    for file in files.values():
        file.run()
    return tuple(files.values())
