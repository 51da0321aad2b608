"""The launcher's `.venv`: made once, repaired when broken, and clear words where it cannot be made."""

import ast
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from scripts import environment
from scripts.environment import EnvironmentProblem, check_python, ensure, python_of
from scripts.test import own_arguments, pytest_arguments
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
# A build backend of a few lines: the editable install of a project without packages.
BACKEND = """
import pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "probe_project-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        info = "probe_project-1.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: probe-project\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "probe_backend"
backend-path = ["."]
"""


def wheel_in(folder: Path, name: str) -> str:
    """Make a wheel with one module in this folder; the locked line that asks for it."""
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}==1 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository as small as can be, whose packages lie in a folder that pip is configured with."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    root = tmp_path / "clone"
    root.mkdir()
    (root / "requirements.txt").write_text(wheel_in(wheels, "probe_product"))
    (root / "requirements-dev.txt").write_text(wheel_in(wheels, "probe_tools"))
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "probe_backend.py").write_text(BACKEND)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return root


def state_of(root: Path) -> dict[str, object]:
    """What the launcher remembers of the venv it made."""
    try:
        state: dict[str, object] = json.loads((root / ".venv" / environment.STATE_FILE).read_text())
    except FileNotFoundError:
        return {}
    return state


def can_import(root: Path, module: str) -> bool:
    """Whether the venv's Python finds this module."""
    return (
        subprocess.run(
            [python_of(root), "-I", "-c", f"import {module}"], check=False, capture_output=True
        ).returncode
        == 0
    )


def start_ensure(root: Path) -> subprocess.Popen[str]:
    """Another process that makes the same `.venv`."""
    program = (
        f"from pathlib import Path; from scripts.environment import ensure; ensure(root=Path({str(root)!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("version", [(3, 8, 10), (3, 10, 13), (3, 15, 0)])
def test_a_python_that_does_not_fit_is_told_which_does(version: tuple[int, int, int]) -> None:
    """Too old or too new a Python reads which ones fit and which one it is."""
    with pytest.raises(EnvironmentProblem, match=r"3\.11 to 3\.14.*" + r"\.".join(map(str, version))):
        check_python(version)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 9)])
def test_a_python_that_fits_is_taken(version: tuple[int, int, int]) -> None:
    """3.11 to 3.14 are taken without a word."""
    check_python(version)


@pytest.mark.parametrize("name", ["up", "test", "check", "environment"])
def test_an_old_python_can_read_the_launcher(name: str) -> None:
    """Python 3.8 parses what runs before the version is checked, and evaluates no newer annotation in it."""
    tree = ast.parse((ROOT / "scripts" / f"{name}.py").read_text(), feature_version=(3, 8))
    assert "__future__" in {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_venv_module_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """A Python without venv or ensurepip (Debian splits them off) is told what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EnvironmentProblem, match=f"{module}.*apt install python3-venv"):
        ensure(root=clone)


def test_a_foreign_venv_is_left_alone(clone: Path) -> None:
    """A `.venv` that somebody else made is not deleted; its owner is asked to move it."""
    (clone / ".venv").mkdir()
    (clone / ".venv" / "precious").write_text("mine")
    with pytest.raises(EnvironmentProblem, match="move it away"):
        ensure(root=clone)
    assert (clone / ".venv" / "precious").read_text() == "mine"


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "may not write"), (errno.EROFS, "may not write")],
)
def test_a_disk_that_refuses_is_explained(clone: Path, code: int, words: str) -> None:
    """A full or read-only disk is one clear line, seen by us or by pip."""
    seen = OSError(code, os.strerror(code))
    assert words in environment._explain(seen, clone)
    assert words in environment._explain_output(["Collecting x", f"ERROR: Could not install: {seen}"], clone)


@pytest.mark.slow
def test_a_venv_is_made_once_and_then_costs_nothing(clone: Path) -> None:
    """The first call installs, the next is quick and silent; tools come on top; a new lock is followed."""
    said: list[str] = []
    assert ensure(root=clone, say=said.append) == python_of(clone)
    assert can_import(clone, "probe_product") and not can_import(clone, "probe_tools")
    assert any("1/1" in line for line in said)

    begun = time.monotonic()
    ensure(root=clone, say=said.append)
    assert time.monotonic() - begun < 0.3

    ensure(tools=True, root=clone, say=said.append)
    assert can_import(clone, "probe_tools")
    made = (clone / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    more = wheel_in(clone.parent / "wheels", "probe_more")
    (clone / "requirements.txt").write_text((clone / "requirements.txt").read_text() + more)
    ensure(tools=True, root=clone, say=said.append)
    assert can_import(clone, "probe_more")
    assert (clone / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made


@pytest.mark.slow
def test_a_package_that_is_not_the_locked_one_is_refused(clone: Path) -> None:
    """A wrong hash stops the start with one line, and the right lock heals it."""
    right = (clone / "requirements.txt").read_text()
    (clone / "requirements.txt").write_text(right[:-5] + "0000\n")
    with pytest.raises(EnvironmentProblem, match="not the one that was locked"):
        ensure(root=clone, say=lambda _: None)
    (clone / "requirements.txt").write_text(right)
    ensure(root=clone, say=lambda _: None)
    assert can_import(clone, "probe_product")


@pytest.mark.slow
def test_a_start_that_was_killed_is_repaired(clone: Path) -> None:
    """kill -9 in the middle leaves half a venv; the next start makes a whole one."""
    with start_ensure(clone) as first:
        eventually(lambda: state_of(clone).get("busy"), what="the first start began")
        first.send_signal(signal.SIGKILL)
    said: list[str] = []
    ensure(root=clone, say=said.append)
    assert any("anew" in line for line in said)
    assert can_import(clone, "probe_product")


@pytest.mark.slow
def test_two_starts_at_once_make_one_venv(clone: Path) -> None:
    """The second start waits for the first and finds the work done."""
    with start_ensure(clone) as first, start_ensure(clone) as second:
        outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sum("making .venv, " in output for output in outputs) == 1
    assert sum("waiting for it" in output for output in outputs) == 1
    assert can_import(clone, "probe_product")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"]),
        (
            ["--tier", "commit"],
            ["-n", "3", "--dist", "loadgroup", "--no-loadscope-reorder", "--tier", "commit"],
        ),
        (["--quick"], ["-n", "4", "--dist", "loadgroup", "--no-loadscope-reorder", "-m", "not slow"]),
        (["tests/unit", "-x"], ["tests/unit", "-x"]),
        (["--quick", "-n0"], ["-m", "not slow", "-n0"]),
    ],
)
def test_the_suite_runs_in_several_processes_unless_told(given: list[str], expected: list[str]) -> None:
    """Whole runs use both cores; chosen tests and a chosen number of processes are left as asked."""
    assert pytest_arguments(given) == expected


def test_own_arguments_of_the_suite_are_taken_out() -> None:
    """What scripts/test.py adds is its own; everything else is pytest's, in its order."""
    own, rest = own_arguments(["--quick", "--random-order", "--seed", "7", "-k", "a", "--repeat", "3"])
    assert (own.random_order, own.seed, own.repeat) == (True, 7, 3)
    assert rest == ["--quick", "-k", "a"]
    assert own_arguments([])[0].repeat == 1


@pytest.mark.parametrize("given", [["--repeat", "0"], ["--seed", "7"], ["--repeat", "many"]])
def test_arguments_that_mean_nothing__refused(given: list[str]) -> None:
    """A seed without a random order would change nothing, and no run at all would always pass."""
    with pytest.raises(SystemExit):
        own_arguments(given)
