"""Makes the repository's `.venv` and keeps it equal to the locked requirements.

Standard library only, since it runs before anything is installed; it starts nothing of roleta itself.
Written so that Python 3.8 can still read it, and say that it is too old.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)
STATE_FILE = "roleta.json"


class EnvironmentProblem(Exception):
    """Why `.venv` cannot be made; the text is one line and says what to change."""


class Layer(NamedTuple):
    """One pip call: its name in the state file, the file whose change makes it necessary, its arguments."""

    name: str
    decided_by: str
    arguments: tuple[str, ...]
    title: str


def _locked(name: str, file: str, title: str) -> Layer:
    # Without --no-compile pip spends a third of its time on byte code that most starts never read.
    return Layer(name, file, ("--require-hashes", "--no-deps", "--no-compile", "-r", file), title)


PRODUCT = [
    _locked("product", "requirements.txt", "the packages that roleta needs"),
    Layer("roleta", "pyproject.toml", ("--no-deps", "--no-build-isolation", "-e", "."), "roleta itself"),
]
TOOLS = [_locked("tools", "requirements-dev.txt", "the packages for tests and checks")]


def check_python(version: tuple[int, ...] | None = None) -> None:
    """Raise EnvironmentProblem when roleta does not run on this Python (or on the given version)."""
    version = version or sys.version_info[:3]
    if not OLDEST <= version[:2] <= NEWEST:
        raise EnvironmentProblem(
            f"this needs Python 3.11 to 3.14 and is run by Python {'.'.join(map(str, version))}: "
            f"use another one, for example `python3.13 {sys.argv[0]}`"
        )


def ensure(tools: bool = False, root: Path = ROOT, say: Callable[[str], None] = print) -> Path:
    """Return the Python of an up-to-date `.venv`, made or repaired first where needed.

    `tools` adds what tests and checks need. Warm, it only compares hashes. Raises EnvironmentProblem.
    """
    check_python()
    wanted = PRODUCT + (TOOLS if tools else [])
    try:
        if _missing(root, wanted):
            with _only_one(root, say) as lock:
                _build(root, wanted, say, lock)
    except OSError as problem:
        raise EnvironmentProblem(_explain(problem, root)) from problem
    return python_of(root)


def python_of(root: Path) -> Path:
    """The Python inside the `.venv` of this folder, whether it is there or not."""
    return root / ".venv" / "bin" / "python"


def _build(root: Path, wanted: list[Layer], say: Callable[[str], None], lock: IO[str]) -> None:
    missing = _missing(root, wanted)  # once more: whoever held the lock may have done the work
    if not missing:
        return
    state = _read_state(root)
    if not _usable(root, state):
        _make_venv(root, say, lock)
        state = _new_state(root)
    for layer in missing:
        _write_state(root, {**state, "busy": True})
        _install(root, layer, say, lock)
        state["layers"][layer.name] = _digest(root / layer.decided_by)
        _write_state(root, state)


def _missing(root: Path, wanted: list[Layer]) -> list[Layer]:
    state = _read_state(root)
    if not _usable(root, state):
        return wanted
    return [layer for layer in wanted if state["layers"].get(layer.name) != _digest(root / layer.decided_by)]


def _usable(root: Path, state: dict[str, Any]) -> bool:
    fresh = _new_state(root)
    # A run that was killed inside pip leaves "busy": what lies there is half a venv and is made anew.
    return all(state.get(k) == fresh[k] for k in ("root", "python", "busy")) and python_of(root).exists()


def _new_state(root: Path) -> dict[str, Any]:
    # The venv's scripts hold absolute paths, so a clone that was moved needs a new one.
    python = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"
    return {"root": str(root.resolve()), "python": python, "busy": False, "layers": {}}


def _read_state(root: Path) -> dict[str, Any]:
    try:
        state = json.loads((root / ".venv" / STATE_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return state if isinstance(state, dict) and isinstance(state.get("layers"), dict) else {}


def _write_state(root: Path, state: dict[str, Any]) -> None:
    target = root / ".venv" / STATE_FILE
    draft = target.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=1))
    draft.replace(target)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextlib.contextmanager
def _only_one(root: Path, say: Callable[[str], None]) -> Iterator[IO[str]]:
    with open(os.open(root / ".venv.lock", os.O_RDONLY | os.O_CREAT, 0o644)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is making .venv: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _make_venv(root: Path, say: Callable[[str], None], lock: IO[str]) -> None:
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise EnvironmentProblem(
                f"this Python ({sys.executable}) lacks its module {module}; "
                "on Debian and Ubuntu install it with `apt install python3-venv`, then run this again"
            )
    folder = root / ".venv"
    if folder.exists():
        _clear(folder, say)
    folder.mkdir(exist_ok=True)
    _write_state(root, {**_new_state(root), "busy": True})
    # From inside a venv, start at the Python below it: a venv of a venv dies with the first.
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    _run([base, "-I", "-m", "venv", str(folder)], root, lock, _Progress(say, "making .venv", 0))


def _clear(folder: Path, say: Callable[[str], None]) -> None:
    if not (folder / STATE_FILE).exists() and any(folder.iterdir()):
        raise EnvironmentProblem(f"{folder} was not made by this program: move it away and run this again")
    say("making .venv anew: an earlier start broke off, or Python or the folder changed")
    shutil.rmtree(folder)


def _install(root: Path, layer: Layer, say: Callable[[str], None], lock: IO[str]) -> None:
    total = sum("==" in line for line in (root / layer.decided_by).read_text().splitlines())
    progress = _Progress(say, f"installing {layer.title}", total if "-r" in layer.arguments else 0)
    pip = [str(python_of(root)), "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    _run([*pip, "--progress-bar", "off", *layer.arguments], root, lock, progress)


class _Progress:
    """On a terminal one line that counts packages and seconds; elsewhere that line once, at the end."""

    def __init__(self, say: Callable[[str], None], title: str, total: int) -> None:
        self._say, self._title, self._total = say, title, total
        self._begun = time.monotonic()
        self._seen = 0
        self._terminal = sys.stdout.isatty()

    def heard(self, line: str) -> None:
        self._seen += line.startswith(("Collecting ", "Requirement already satisfied"))

    def show(self) -> None:
        if self._terminal:
            sys.stdout.write(f"\r\x1b[K{self._line()}")
            sys.stdout.flush()

    def end(self, well: bool) -> None:
        if self._terminal:
            sys.stdout.write("\r\x1b[K")
        if well:
            self._seen = self._total
            self._say(self._line())

    def _line(self) -> str:
        count = f" {min(self._seen, self._total)}/{self._total}" if self._total else ""
        return f"{self._title}{count}, {time.monotonic() - self._begun:.0f} s"


def _run(command: list[str], root: Path, lock: IO[str], progress: _Progress) -> None:
    foreign = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")
    child = subprocess.Popen(
        command,
        cwd=root,
        env={name: value for name, value in os.environ.items() if name not in foreign},
        pass_fds=(lock.fileno(),),  # killed or not, we give the lock back only when pip too has ended
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said: list[str] = []
    with child:
        for line in _lines_of(child, progress.show):
            said.append(line)
            progress.heard(line)
    progress.end(child.returncode == 0)
    if child.returncode != 0:
        raise EnvironmentProblem(_explain_output(said, root))


def _lines_of(child: subprocess.Popen[bytes], each_second: Callable[[], None]) -> Iterator[str]:
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            each_second()
            if not selector.select(timeout=1):
                continue
            piece = os.read(child.stdout.fileno(), 65536)
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if not piece:
                yield rest.decode(errors="replace")
                return


def _explain(problem: OSError, root: Path) -> str:
    where = problem.filename or root
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left for .venv in {root}: free about 500 MB there and run this again"
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"may not write {where}: run this as the owner of {root}, or clone it to a folder of your own"
    return f"cannot make .venv: {problem.strerror or problem} ({where})"


def _explain_output(said: list[str], root: Path) -> str:
    """The one line of a failed child's output that tells what to change."""
    text = "\n".join(said)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        if f"Errno {number}]" in text:
            return _explain(OSError(number, os.strerror(number)), root)
    if "DO NOT MATCH THE HASHES" in text:
        return (
            "a downloaded package is not the one that was locked: check the index that pip is configured with"
        )
    if "ensurepip" in text:
        return (
            "this Python cannot make a venv; on Debian and Ubuntu `apt install python3-venv`, then run again"
        )
    errors = [line for line in said if line.startswith("ERROR: ")] or [line for line in said if line.strip()]
    first = errors[0].strip() if errors else "it said nothing"
    return f"pip failed: {first}; check network and disk, then run this again"
