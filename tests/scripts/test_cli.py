"""The group itself: help, one line for what a person can put right, and where the database comes from."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scripts import run_file
from scripts.cli import COMMANDS
from tests.scripts.roleta import COMMAND, Roleta, ended


def test_help_imports_no_driver_and_no_provider() -> None:
    """`roleta --help` answers at once because it imports nothing that takes long."""
    program = (
        "import sys\nfrom scripts.cli import cli\ncli.main(['--help'], standalone_mode=False)\n"
        "print([m for m in ('psycopg', 'httpx', 'rich', 'falcon', 'yoyo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(bare_roleta: Roleta) -> None:
    """Whatever can be called is in the help, with a line about it."""
    said = bare_roleta.well("--help")

    assert [name for name in COMMANDS if name != "bench" and f"\n  {name} " not in said] == []


def test_every_command_has_its_own_help(bare_roleta: Roleta) -> None:
    """Each command can be imported and explains itself without a database."""
    for name in COMMANDS:
        if name not in ("bench", "simulator"):
            assert "Usage: roleta" in bare_roleta.well(name, "--help")


def test_a_command_without_a_database_says_what_to_set(bare_roleta: Roleta) -> None:
    """Neither DATABASE_URL nor a running `up`: one line that names both ways out."""
    line = bare_roleta.refused("status")

    assert "DATABASE_URL" in line
    assert "scripts/up.py" in line


def test_a_database_that_is_away_is_one_line_without_the_password(bare_roleta: Roleta) -> None:
    """A refused connection is told in a line, the driver adds none, and the password is not in it."""
    away = bare_roleta.started("status", DATABASE_URL="postgresql://me:canary-9c1@127.0.0.1:9/none")
    with ended(away):
        assert away.ends() == 1
        [line] = away.said.splitlines()

    assert line.startswith("roleta: the database cannot be reached")
    assert "canary" not in line


def test_a_database_that_was_never_migrated_says_so(bare_roleta: Roleta, bare_database_url: str) -> None:
    """An empty database leads to `roleta migrate`, not to a traceback."""
    assert "roleta migrate" in bare_roleta.refused("status", DATABASE_URL=bare_database_url)


def test_an_unreadable_env_file_is_one_line(bare_roleta: Roleta) -> None:
    """A .env that is no text is named, and its content is not."""
    (bare_roleta.home / ".env").write_bytes(b"DATABASE_URL=\xff\xfe")

    assert ".env is not a text file" in bare_roleta.refused("status")


def test_half_of_a_number_in_the_environment_is_one_line(bare_roleta: Roleta) -> None:
    """ZAPI_* come together; the line names what is missing and shows no value."""
    line = bare_roleta.refused("status", ZAPI_TOKEN="canary-token")

    assert "ZAPI_INSTANCE_ID" in line
    assert "canary" not in line


def test_the_option_wins_over_the_environment(roleta: Roleta, database_url: str) -> None:
    """--database-url is used in place of DATABASE_URL."""
    result = roleta(
        "--database-url", database_url, "instance", "list", DATABASE_URL="postgresql://127.0.0.1:9/x"
    )

    assert result.exit_code == 0, result.output


def _run_of(database_url: str, born: str) -> run_file.Run:
    return run_file.Run(
        pid=os.getpid(),
        born=born,
        database_url=database_url,
        gateway="http://127.0.0.1:1",
        simulator_url="http://127.0.0.1:2",
        evolution_url=None,
        children={},
    )


def test_a_running_up_lends_its_database(bare_roleta: Roleta, database_url: str) -> None:
    """In another terminal, commands find the embedded server of the `up` that runs."""
    run_file.state_folder(bare_roleta.home)
    run_file.write(bare_roleta.home, _run_of(database_url, run_file.born(os.getpid())))

    assert bare_roleta.told("status", "--json")["numbers"] == []
    assert (bare_roleta.home / ".roleta/run.json").stat().st_mode & 0o777 == 0o600


def test_an_up_that_has_ended_lends_nothing(bare_roleta: Roleta, database_url: str) -> None:
    """A run.json that a killed `up` left behind is not believed, even if its process id lives again."""
    run_file.state_folder(bare_roleta.home)
    run_file.write(bare_roleta.home, _run_of(database_url, "1"))

    assert "no `roleta up` is running" in bare_roleta.refused("status")


def test_a_broken_run_file_is_as_good_as_none(bare_roleta: Roleta) -> None:
    """Whatever stands in run.json, the command goes on without it."""
    folder = run_file.state_folder(bare_roleta.home)
    for text in ("", "[]", "{}", json.dumps({"pid": "x"})):
        (folder / "run.json").write_text(text)
        assert "DATABASE_URL" in bare_roleta.refused("status")


def test_it_runs_from_any_folder(tmp_path: Path) -> None:
    """The command finds its own packages wherever one stands, also beside a folder called `shared`."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").write_text("raise ImportError('the wrong one')")
    done = subprocess.run(
        [*COMMAND, "why", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
