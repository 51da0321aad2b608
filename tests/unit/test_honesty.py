"""Whether the tests themselves can be trusted: they reach nobody, do not sleep, and need no order.

Repeats in random order are a command: `python3 scripts/test.py --quick --random-order --repeat 50`.
"""

import ast
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.guard import sitecustomize

TESTS = Path(__file__).resolve().parents[1]
# TEST-NET-1 (RFC 5737): nobody's address, should a packet leave all the same.
NOBODY = "192.0.2.1"
ASKS_NOBODY = f"import socket; socket.create_connection(({NOBODY!r}, 9), 0.1)"
# How long may be let pass, in each function's own unit.
SHORT_PAUSES = {"sleep": 0.2, "Event().wait": 0.2, "wait_for_timeout": 200}

pytestmark = pytest.mark.scoreboard("R20", tier="commit")


@pytest.fixture
def refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where refusals of this test go: those of the whole run must stay none."""
    file = tmp_path / "refusals"
    monkeypatch.setenv(sitecustomize.REFUSALS, str(file))
    return file


def test_this_process_reaches_no_other_machine__refused(refusals: Path) -> None:
    """A connection to anywhere but here is an error, and remembered."""
    with socket.socket() as other, pytest.raises(AssertionError, match=NOBODY):
        other.connect((NOBODY, 9))
    assert NOBODY in refusals.read_text()


@pytest.mark.parametrize("switches", [["-P"], []])
def test_a_child_reaches_no_other_machine__refused(refusals: Path, switches: list[str]) -> None:
    """Nor does a program that a test starts, whatever it makes of the error."""
    done = subprocess.run(
        [sys.executable, *switches, "-c", ASKS_NOBODY], capture_output=True, text=True, check=False
    )
    assert "only this machine is allowed" in done.stderr
    assert NOBODY in refusals.read_text()


def test_no_name_is_looked_up__refused() -> None:
    """A question to a name server would leave this machine too; our own names are known."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("gateway.example.com", 443)
    assert socket.getaddrinfo("localhost", 443) and socket.getaddrinfo("127.0.0.1", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_our_own_addresses_are_no_other_machine(host: str) -> None:
    """Loopback in all its forms."""
    assert sitecustomize.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", NOBODY, "", None])  # noqa: S104
def test_what_only_looks_like_one__refused(host: object) -> None:
    """Names that begin like an address of ours, and addresses that mean any."""
    assert not sitecustomize.is_loopback(host)


def test_a_long_sleep__refused() -> None:
    """Whoever gets past the reading of the sources is stopped when it happens."""
    with pytest.raises(AssertionError, match=r"test_honesty\.py sleeps"):
        getattr(time, "sleep")(0.3)  # noqa: B009 - as the check below would not find it


def _may_pause(text: str) -> bool:
    """Whether a source is worth reading as Python, which takes a while for all of them."""
    return any(name in text for name in SHORT_PAUSES)


def _pauses(tree: ast.AST) -> list[ast.Call]:
    """Calls that only let time pass: a sleep, a browser's pause, a wait for an event that nobody sets."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(tuple(SHORT_PAUSES))
        and node.args
        and not _is_short(ast.unparse(node.func), node.args[0])
    ]


def _is_short(function: str, length: ast.expr) -> bool:
    """A number, and a small one: what is computed may be anything."""
    longest = next(most for name, most in SHORT_PAUSES.items() if function.endswith(name))
    return isinstance(length, ast.Constant) and float(str(length.value)) <= longest


def test_no_test_pauses() -> None:
    """What a test waits for is awaited (tests/waiting.py): no fixed pause is longer than 0.2 s."""
    found = [
        f"{file.relative_to(TESTS)}:{call.lineno} {ast.unparse(call)}"
        for file in sorted(TESTS.rglob("*.py"))
        if _may_pause(text := file.read_text(encoding="utf-8"))
        for call in _pauses(ast.parse(text))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "how_many"),
    [
        ("time.sleep(1)", 1),
        ("sleep(seconds)", 1),
        ("await asyncio.sleep(0.3)", 1),
        ("threading.Event().wait(2)", 1),
        ("threading.Event().wait(RETRY_S)", 1),
        ("page.wait_for_timeout(500)", 1),
        ("time.sleep(0.2)", 0),
        ("page.wait_for_timeout(50)", 0),
        ("done.wait(10)", 0),
    ],
)
def test_a_pause_is_found_in_a_source(source: str, how_many: int) -> None:
    """The reading of the sources can fail."""
    assert len(_pauses(ast.parse(source))) == how_many
