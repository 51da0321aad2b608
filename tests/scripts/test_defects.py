"""`python3 scripts/defects.py` itself: that its table is sound, that it catches, and that it can fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.defects import TABLES
from scripts.planting import BadTable, Defect, fault_of, place_of, read_tables

ROOT = Path(__file__).resolve().parents[2]
DEFECTS = read_tables(TABLES)
PHONE_TEST = "tests/unit/test_redaction.py::test_a_phone_is_shown_by_its_tail"
# One in the SQL, one that only a child process meets, one in a template's engine.
REAL = (
    "a begin without the fence",
    "a gateway that calls its health otherwise",
    "a message's marks that are not escaped",
)


def run(*words: str) -> tuple[int, list[str]]:
    """The command as a person runs it; its exit code and lines."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "scripts.defects", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout.splitlines()


def table(folder: Path, old: str, new: str, test: str) -> Path:
    """A table of one defect in shared/redaction.py."""
    file = folder / "table.toml"
    file.write_text(f"[mine]\nfile = 'shared/redaction.py'\nold = '{old}'\nnew = '{new}'\ntest = '{test}'\n")
    return file


def test_there_are_enough_of_all_kinds() -> None:
    """At least 34, in SQL and in Python, each with a name of its own."""
    assert len(DEFECTS) >= 34
    assert {defect.file.partition("/")[0] for defect in DEFECTS} >= {"", "migrations", "shared", "edge"}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_each_defect_has_its_place_and_its_test(defect: Defect) -> None:
    """Its old text stands once, in what is in force (no later migration replaces that function), and its test
    is there: whoever moves one of them is told here."""
    assert fault_of(defect, ROOT) == ""


@pytest.mark.slow
@pytest.mark.alone
def test_defects_are_planted_and_caught() -> None:
    """Three of them for real; all of them are the command itself. Alone: a test of a copy that fails because
    the machine is busy with another would be said to show nothing."""
    code, lines = run("--only", *REAL)

    assert lines[-1] == "3 of 3 caught", lines
    assert code == 0
    assert sum(line.startswith("caught  ") for line in lines) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "test", "said"),
    [
        ("text.replace(secret, form)", "", PHONE_TEST, "BROKEN  mine"),
        ("MAX_DEPTH = 64", "MAX_DEPTH = 63", PHONE_TEST, "MISSED  mine"),
        ("MAX_DEPTH = 64", "MAX_DEPTH = = 64", PHONE_TEST, "BROKEN  mine"),
        ("MAX_DEPTH = 64", "MAX_DEPTH = no_such_name", PHONE_TEST, "BROKEN  mine"),
        ("MAX_DEPTH = 64", "MAX_DEPTH = 63", "tests/unit/test_redaction.py::test_no_such", "BROKEN  mine"),
    ],
    ids=["text gone", "not caught", "syntax", "import", "test gone"],
)
def test_a_defect_that_shows_nothing_fails(tmp_path: Path, old: str, new: str, test: str, said: str) -> None:
    """Whatever was not caught by an assertion of the named test counts as not caught: exit code 1."""
    code, lines = run("--table", str(table(tmp_path, old, new, test)))

    assert code == 1
    assert any(line.startswith(said) for line in lines), lines
    assert lines[-1] == "0 of 1 caught"


def test_a_function_that_was_replaced_later_is_not_in_force(tmp_path: Path) -> None:
    """A defect planted in text that a later migration replaces would be missed for that reason alone."""
    (tmp_path / "migrations").mkdir()
    old = "create function messaging.f() returns int\nlanguage sql\nas $$\n    select 1\n$$;\n-- after\n"
    (tmp_path / "migrations/0001.one.sql").write_text(old)
    (tmp_path / "migrations/0002.two.sql").write_text(old.replace("create", "create or replace"))
    (tmp_path / "test.py").write_text("def test_a() -> None: ...\n")
    inside = Defect("inside", "select 1", "select 2", "test.py::test_a", file="migrations/0001.one.sql")

    assert "0002.two.sql" in fault_of(inside, tmp_path)
    assert fault_of(inside._replace(file="migrations/0002.two.sql"), tmp_path) == ""
    assert fault_of(inside._replace(old="-- after", new="-- now"), tmp_path) == ""
    by_name = inside._replace(file="", function="messaging.f")
    place = place_of(by_name, tmp_path)
    assert place is not None and place.file.name == "0002.two.sql"
    assert "select 2" in place.planted(by_name) and place.planted(by_name).endswith("-- after\n")
    assert "occurs 0 times" in fault_of(by_name._replace(old="-- after"), tmp_path)
    assert "no messaging.g" in fault_of(by_name._replace(function="messaging.g"), tmp_path)


@pytest.mark.parametrize(
    "text", ["[a\n", "[a]\nfile = 'x'\n", "a = 1\n", "[a]\nfile='x'\nold='x'\nnew='y'\ntest='z'\nmore='m'\n"]
)
def test_a_table_that_cannot_be_read__refused(tmp_path: Path, text: str) -> None:
    """A mistyped field is named, not passed over."""
    file = tmp_path / "table.toml"
    file.write_text(text)
    with pytest.raises(BadTable, match=r"table\.toml"):
        read_tables([file])
