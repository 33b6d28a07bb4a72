"""Nothing of the package needs a system that Windows is not: lab computers run it as often as Linux.

xbarlab has been written for Windows and not been tried there; these are the mistakes that can be seen without one.
ruff sees the rest: paths by pathlib (PTH), files opened with their encoding said (PLW1514).
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("common", "instruments", "protocols", "analysis", "mockhw", "runbooks", "twin")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Modules and members that CPython has on POSIX systems only (its documentation: "Availability: Unix").
MODULES = words("crypt curses fcntl grp nis ossaudiodev posix pty pwd readline resource spwd syslog termios tty")
MEMBERS = {
    "os": words(
        "chown fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid getpgrp getpriority "
        "getsid getuid initgroups kill killpg lchown lockf mkfifo mknod nice O_DIRECTORY O_NOFOLLOW O_NONBLOCK "
        "openpty pathconf posix_fadvise posix_spawn pread pwrite register_at_fork sched_getaffinity "
        "sched_setaffinity setegid seteuid setgid setgroups setpgid setpriority setsid setuid statvfs sync sysconf "
        "tcgetpgrp ttyname uname wait wait3 wait4 waitid WNOHANG"
    ),
    "signal": words(
        "alarm getitimer pause pthread_kill pthread_sigmask set_wakeup_fd setitimer sigpending sigtimedwait sigwait "
        "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2"
    ),
    "socket": words("AF_UNIX SO_REUSEPORT recv_fds send_fds sethostname"),
    "select": words("epoll kqueue poll"),
    "time": words("tzset clock_settime pthread_getcpuclockid"),
}
POSIX_PLACES = re.compile(r"\A(?:/(?:tmp|dev|proc|etc|home|var|usr|opt|run|sys)(?:/|\Z)|~/)")
NOT_IN_A_NAME = re.compile(r'[<>:"\\|?*\x00-\x1f]|[ .]\Z')
RESERVED_NAMES = frozenset({"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10))})


def trouble(source: str) -> Iterator[str]:
    """Yield what in a module cannot work on Windows; a member that is asked for by hasattr or getattr is guarded."""
    tree = ast.parse(source)
    asked = {
        node.args[1].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"hasattr", "getattr"}
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
    }
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        at = f"line {getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.Import):
            yield from (f"{at}import {name.name}" for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module.split(".")[0] in MODULES:
                yield f"{at}from {node.module} import …"
            forbidden = MEMBERS.get(node.module, frozenset())
            yield from (f"{at}{node.module}.{name.name}" for name in node.names if name.name in forbidden)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in MEMBERS.get(node.value.id, frozenset()) and node.attr not in asked:
                yield f"{at}{node.value.id}.{node.attr}"
            elif node.attr == "add_signal_handler":
                yield f"{at}add_signal_handler"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            if POSIX_PLACES.match(node.value):
                yield f"{at}the place {node.value!r}"
            elif re.search(r"%-[a-zA-Z]", node.value):
                yield f"{at}the time format {node.value!r}"


def unfit(path: PurePosixPath) -> bool:
    """Return whether a file of this name cannot be checked out on Windows."""
    return any(NOT_IN_A_NAME.search(part) or part.split(".")[0].lower() in RESERVED_NAMES for part in path.parts)


MODULE_FILES = [
    ROOT / "cli.py",
    ROOT / "__init__.py",
    *(path for room in ROOMS for path in (ROOT / room).rglob("*.py")),
]


@pytest.mark.slow
def test_no_module_needs_what_only_posix_has() -> None:
    found = {path.relative_to(ROOT).as_posix(): list(trouble(path.read_text("utf-8"))) for path in MODULE_FILES}
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", 1),
        ("from pwd import getpwuid", 1),
        ("import os\nos.kill(1, 9)", 1),
        ("import os\nos.fork()", 1),
        ("import signal\nsignal.SIGKILL", 1),
        ("from signal import SIGHUP", 1),
        ("import signal\nif hasattr(signal, 'SIGHUP'):\n    signal.SIGHUP", 0),
        ("where = '/tmp/locks'", 1),
        ("where = '~/.config'", 1),
        ("unit = 'V/s'; header = '/:SYST'", 0),
        ("stamp = f'{now:%-d}'", 1),
        ('"""/tmp may stand in a docstring."""', 0),
        ("from . import resource", 0),
    ],
)
def test_the_check_sees_what_it_is_for(source: str, found: int) -> None:
    assert len(list(trouble(source))) == found


def test_every_file_of_the_project_has_a_name_windows_takes() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode()
    names = [name for name in listed.split("\0") if name] or [
        path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*")
    ]
    assert len(names) > len(MODULE_FILES) / 2
    assert not [name for name in names if unfit(PurePosixPath(name))]
    lower = [name.lower() for name in names]
    assert not {name for name in lower if lower.count(name) > 1}, "names that differ in their capitals only"


@pytest.mark.parametrize("name", ["a/run-10:30.json", "aux.py", "com1", "what?.md", "dots."])
def test_names_windows_does_not_take_are_seen(name: str) -> None:
    assert unfit(PurePosixPath(name))
    assert not unfit(PurePosixPath("docs/auxiliary.py"))
