"""Names that other people's packages, files and notebooks offer: who offers what, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.packages import install
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.common.plugin_files import PluginFile, run_files

TRACE = "from pathlib import Path\nPath({trace!r}).write_text('ran')\n"
OFFER = """
from xbarlab.common import plugins

def drift():
    '''Follow a cell at rest.

    More of it.
    '''

plugins.register(plugins.STEPS, "drift", drift)
"""


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    with plugins.scope():
        yield


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_what_is_shipped_says_where_it_comes_from_and_what_it_is() -> None:
    (entry,) = plugins.offered(plugins.STEPS)["read_array"]
    assert entry.origin.startswith("xbarlab ")
    assert entry.about() == "Measure every cell of a block once and map its conductance."
    assert "CrossbarBoard" in plugins.names(plugins.INSTRUMENTS)


@pytest.mark.parametrize("group", plugins.KINDS)
def test_everything_shipped_loads_and_says_what_it_is(group: str) -> None:
    for name, entries in plugins.offered(group).items():
        for entry in entries:
            if entry.origin.startswith("xbarlab "):
                if entry.target.startswith("xbarlab.protocols.training"):
                    pytest.importorskip("torch")
                assert entry.load() is not None
                assert entry.about(), f"{name} has no docstring"


def test_a_package_is_listed_without_being_imported_and_loads_when_used(place: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    points = "[xbarlab.steps]\nrest = stranger_steps:rest\n[console_scripts]\nrest = stranger_steps:rest\n"
    text = TRACE.format(trace=str(trace)) + 'def rest():\n    """Wait and read."""\n'
    install(place, "stranger", points, version="2.5", stranger_steps=text)
    entry = plugins.find(plugins.STEPS, "rest")
    assert (entry.origin, entry.target) == ("stranger 2.5", "stranger_steps:rest")
    assert entry.about() == "Wait and read."
    assert "rest" in plugins.names(plugins.STEPS)
    assert not trace.exists(), "listing ran the package"
    assert entry.load().__name__ == "rest"
    assert trace.exists()


def test_a_name_taken_twice_is_refused_and_both_are_named(place: Path) -> None:
    install(place, "one", "[xbarlab.steps]\nread_array = one:read\nown = one:read\n", one="def read(): ...\n")
    with pytest.raises(
        RefusedError, match=r"step 'read_array' is offered twice, by xbarlab .* and one 1\.0 \(one:read"
    ):
        plugins.find(plugins.STEPS, "read_array")
    assert len(plugins.offered(plugins.STEPS)["read_array"]) == 2
    assert plugins.load(plugins.STEPS, "own"), "another name of the same package is not harmed"
    assert plugins.load(plugins.STEPS, "dc_sweep")


def test_an_unknown_name_is_refused_with_the_alternatives() -> None:
    with pytest.raises(RefusedError, match=r"unknown step 'read_aray': choose from .*; did you mean 'read_array'"):
        plugins.find(plugins.STEPS, "read_aray")


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('broken')", "import not_there", "x = (", "", "import sys; sys.exit(3)"]
)
def test_a_package_that_cannot_be_imported_is_one_sentence(place: Path, text: str) -> None:
    name = f"broken_{abs(hash(text))}"
    install(place, "stranger", f"[xbarlab.steps]\nrest = {name}:rest\n", **{name: text})
    assert plugins.offered(plugins.STEPS)["rest"][0].about() == ""
    with pytest.raises(RefusedError, match=r"step 'rest' of stranger 1\.0 cannot be loaded from broken_\d+:rest: \w+"):
        plugins.load(plugins.STEPS, "rest")


def test_the_current_folder_is_no_installation(tmp_path: Path) -> None:
    install(tmp_path, "stranger", "[xbarlab.steps]\nrest = stranger:rest\n", stranger="def rest(): ...\n")
    code = "from xbarlab.common import plugins; print(plugins.names(plugins.STEPS))"
    env = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    for argument in (["-c", code], ["-m", "asks"]):
        (tmp_path / "asks.py").write_text(code, encoding="utf-8")
        said = subprocess.run(
            [sys.executable, *argument], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        assert "read_array" in said.stdout
        assert "'rest'" not in said.stdout


@pytest.mark.parametrize("before", ["", ".", os.environ.get("PYTHONPATH", "")])
def test_a_module_of_the_current_folder_does_not_stand_in_for_an_installed_one(tmp_path: Path, before: str) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    install(
        site, "stranger", "[xbarlab.steps]\nrest = stranger_a:rest\n", stranger_a="def rest(): return 'installed'\n"
    )
    here.mkdir()
    (here / "stranger_a.py").write_text("def rest(): return 'current folder'\n", encoding="utf-8")
    code = "from xbarlab.common import plugins; print(plugins.load(plugins.STEPS, 'rest')())"
    given = os.environ.get("PYTHONPATH", "")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([before, *([given] if given else []), str(site)])}
    said = subprocess.run([sys.executable, "-c", code], cwd=here, env=env, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "installed"


# -- decorators --------------------------------------------------------------------------------------------------------


def test_a_notebook_may_offer_a_name_again_and_again() -> None:
    for value in (1, 2):
        exec(compile(f"def rest(): return {value}", "cell", "exec"), cell := {"__name__": "__main__"})
        plugins.register(plugins.STEPS, "rest", cell["rest"])
    assert plugins.load(plugins.STEPS, "rest")() == 2
    assert plugins.find(plugins.STEPS, "rest").origin == "this session"


def test_a_notebook_may_not_take_a_name_of_an_installed_package() -> None:
    def rest() -> None: ...

    with pytest.raises(RefusedError, match=r"step 'dc_sweep' is offered twice, by xbarlab .* and this session"):
        plugins.register(plugins.STEPS, "dc_sweep", rest)


def test_what_a_package_offers_is_not_offered_again_by_its_own_decorators(place: Path) -> None:
    text = """
    from xbarlab.common import plugins
    def rest(): ...
    plugins.register(plugins.STEPS, "another_name", rest)
    def second(): ...
    plugins.register(plugins.STEPS, "second", second)
    """
    install(place, "stranger", "[xbarlab.steps]\nrest = stranger_b:rest\n", stranger_b=text)
    before = plugins.names(plugins.STEPS)
    assert plugins.load(plugins.STEPS, "rest")
    assert plugins.names(plugins.STEPS) == before


def test_every_kind_can_be_offered_by_a_decorator() -> None:
    for kind, group in (("update_rule", plugins.UPDATE_RULES), ("device_model", plugins.DEVICE_MODELS),
                        ("analysis", plugins.ANALYSES), ("instrument", plugins.INSTRUMENTS)):  # fmt: skip

        @plugins.offer(kind, "of_mine")
        class Mine:
            """Mine."""

        assert plugins.load(group, "of_mine") is Mine
        assert plugins.find(group, "of_mine").about() == "Mine."
    with pytest.raises(RefusedError, match=r"unknown kind of plug-in 'rule': choose from analysis, device_model"):
        plugins.offer("rule", "x")


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_offers_what_it_registers_and_is_hashed_as_it_ran(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OFFER, encoding="utf-8")
    (file,) = run_files([path, str(path)])
    entry = plugins.find(plugins.STEPS, "drift")
    assert entry.origin == str(path)
    assert entry.about() == "Follow a cell at rest."
    assert file.sha256 == PluginFile.read(path).sha256
    assert not list(tmp_path.rglob("*.pyc")), "no bytecode is left beside it"


def test_a_changed_file_takes_the_place_of_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OFFER + "drift.value = 1\n", encoding="utf-8")
    (first,) = run_files([path])
    path.write_text(OFFER + "drift.value = 2\n", encoding="utf-8")
    (second,) = run_files([path])
    assert plugins.load(plugins.STEPS, "drift").value == 2
    assert first.sha256 != second.sha256


def test_two_files_with_one_name_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    for path in (one, two):
        path.write_text(OFFER, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"'drift' is offered twice, by .*one\.py .* and .*two\.py"):
        run_files([one, two])
    assert plugins.held_by(str(two)) == []


def test_two_commands_of_one_process_do_not_see_each_others_files(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(OFFER, encoding="utf-8")
        with plugins.scope():
            run_files([tmp_path / name])
    assert "drift" not in plugins.names(plugins.STEPS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "offers nothing"),
        ("x = 1\ny = x / 0\n", r"bad\.py:2: ZeroDivisionError"),
        ("def f(:\n", r"bad\.py:1: SyntaxError"),
        ("import not_there_at_all\n", r"bad\.py:1: ModuleNotFoundError"),
        ("import sys\nsys.exit(0)\n", r"bad\.py:2: SystemExit"),
        ("x = '\\ud800'.encode()\n", r"bad\.py:1: UnicodeEncodeError"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match=said):
        run_files([path])
    assert plugins.held_by(str(path)) == []


@pytest.mark.parametrize(("name", "said"), [("gone.py", "does not exist"), ("notes.txt", "no Python file")])
def test_what_is_no_python_file_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        run_files([tmp_path / name])


def test_a_file_of_no_text_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "zeros.py"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(RefusedError, match=r"zeros\.py"):
        run_files([path])
    path.write_bytes(b"# " + b"x" * (2 << 20))
    with pytest.raises(RefusedError, match="at most 1 MiB"):
        run_files([path])
