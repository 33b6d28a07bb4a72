"""Whose code a run may run: plug-in files that the command line names, or that a person at a terminal allows.

A runbook may *name* its plug-in; that alone runs nothing, or opening somebody's runbook would be running his program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...common import plugins
from ...common.errors import RefusedError
from ...common.plugin_files import PluginFile
from ...common.text import printable
from .front_matter import FrontMatter

Files = Sequence[str | Path]
Ask = Callable[[str], bool]


def nobody(question: str) -> bool:
    """Answer no: nobody is there to be asked."""
    del question
    return False


def ask_on_terminal(question: str) -> bool:
    """Ask the person at the terminal; where there is none, the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def grant(front: FrontMatter, folder: Path, given: Files, ask: Ask) -> tuple[PluginFile, ...]:
    """Run the plug-in files of the command line, and those a runbook names once they are allowed.

    Parameters
    ----------
    folder : where what the runbook names is looked for
    given : files of the command line
    ask : puts a question to whoever may answer it

    Raises
    ------
    RefusedError
        For a file that the runbook names and nobody allowed, and one that cannot be run.
    """
    files = [PluginFile.read(path) for path in given]
    for name in _named(front):
        try:
            file = PluginFile.read(folder / name)
        except RefusedError as error:
            if any(path.path.name == Path(name).name for path in files):
                continue  # the command line says where it is now
            raise front.refuse(str(error), "plugin") from error
        if any(file.sha256 == known.sha256 for known in files):
            continue
        if not ask(_question(f"{front.name} names the plug-in", file)):
            raise front.refuse(
                f"this runbook names the plug-in {name}, whose code is not run because a runbook says so: look at it, "
                f"then add --plugin {file.path}",
                "plugin",
            )
        files.append(file)
    return _run(files)


def grant_again(begun: Mapping[str, str], where: Path, given: Files, ask: Ask) -> tuple[PluginFile, ...]:
    """Run the plug-in files a run was begun with (path → sha256); refuse one that was changed, and others.

    Parameters
    ----------
    where : the run card, for messages
    """
    offered = [PluginFile.read(path) for path in given]
    files: list[PluginFile] = []
    for name, sha256 in begun.items():
        same = [file for file in offered if file.sha256 == sha256]
        meant = same or [file for file in offered if file.path == Path(name) or file.path.name == Path(name).name]
        if not meant and not Path(name).is_file():
            raise RefusedError(f"the plug-in {name} of this run is gone: say where it is now with --plugin FILE")
        file = meant[0] if meant else PluginFile.read(name)
        if file.sha256 != sha256:
            raise RefusedError(
                f"the plug-in {file.path} was changed since the run was begun (sha256 {file.sha256[:12]}…, in {where} "
                f"{sha256[:12]}…); a run goes on as it was begun. Put back what it was, or begin a new run"
            )
        if not meant and not ask(_question("this run was begun with the plug-in", file)):
            raise RefusedError(
                f"this run was begun with the plug-in {name}, whose code is not run because a folder says so: add "
                f"--plugin {name}"
            )
        files.append(file)
    for file in offered:
        if file not in files:
            others = f"with {', '.join(begun)}" if begun else "without plug-ins"
            raise RefusedError(
                f"--plugin {file.path}: this run was begun {others}, and goes on so; begin a new run for another one"
            )
    return _run(files)


def _named(front: FrontMatter) -> list[str]:
    named = front.data.get("plugin")
    names = [named] if isinstance(named, str) else named
    if named is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise front.refuse(f"'plugin' = {named!r} must be the path of a Python file, or a list of them", "plugin")
    return [str(name) for name in names]


def _question(who: str, file: PluginFile) -> str:
    return (
        f"{who} {file.path} (sha256 {file.sha256[:12]}…). Its code can do whatever you can do on this computer, and on "
        "the bench. Run it?"
    )


def _run(files: Sequence[PluginFile]) -> tuple[PluginFile, ...]:
    for file in files:
        file.run()
    for entries in plugins.offered(plugins.ANALYSES).values():
        plugins.refuse_twice(entries)  # all of them are asked at the end: nothing may be measured before this is known
    return tuple(files)
