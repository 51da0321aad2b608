"""supabase.toml: what is in it is routed and has a handler, and nothing else is; mistakes are named."""

from collections.abc import Callable
from pathlib import Path

import pytest

import edge
from edge.app import create_app
from edge.functions import EdgeFunction, load_functions
from shared.db import Database
from shared.errors import SettingsError
from shared.settings import Settings
from tests.edge.conftest import Logs
from tests.edge.gateway import SERVICE_KEY, serving

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Call it with the text of a supabase.toml; its path."""

    def write(text: str) -> Path:
        path = tmp_path / "supabase.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.scoreboard("S4", tier="commit")
def test_entries_handlers_and_modules_agree_both_ways() -> None:
    """Each entry has its module with a `handle`, and each module with a `handle` its entry."""
    folder = Path(edge.__file__).parent
    with_handle = {path.stem for path in folder.glob("*.py") if "\ndef handle(" in path.read_text()}
    assert {function.module.removeprefix("edge.") for function in load_functions()} == with_handle
    assert all(callable(function.handler()) for function in load_functions())


@pytest.mark.scoreboard("S4", tier="commit")
def test_routes_are_those_of_the_entries(unconnected: Database) -> None:
    """Each enabled entry is at /functions/v1/<slug>, webhooks also with a secret behind it; no other is."""
    app = create_app(unconnected, Settings())
    for function in load_functions():
        assert app._router.find(f"/functions/v1/{function.slug}") is not None
        with_secret = app._router.find(f"/functions/v1/{function.slug}/secret")
        assert (with_secret is not None) == (function.caller == "provider")
    assert app._router.find("/functions/v1/health") is None


def test_functions_that_are_not_enabled_have_no_route(unconnected: Database) -> None:
    """enabled = false takes the route away."""
    app = create_app(unconnected, Settings(), [EdgeFunction("start-trial", "stranger", enabled=False)])
    assert app._router.find("/functions/v1/start-trial") is None


def test_all_of_an_entry_is_read(written: Written) -> None:
    """A cron function with its schedule."""
    path = written(
        '[functions.weekly-report]\nverify_jwt = false\ncaller = "cron"\n'
        'schedule = "0 22 * * 0"\nenabled = false'
    )
    [function] = load_functions(path)
    assert function == EdgeFunction("weekly-report", "cron", False, "0 22 * * 0")
    assert function.module == "edge.weekly_report"


ENTRY = '[functions.x]\nverify_jwt = false\ncaller = "stranger"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no function"),
        ("functions = 3", "names no function"),
        ("[functions]\nx = 3", "must be a table"),
        ("[functions.x", "not TOML"),
        (ENTRY + "speed = 3", "unknown keys: speed"),
        (ENTRY + "[api]\nport = 1", "unknown keys: api"),
        ("[functions.x]\nverify_jwt = false", "caller must be one of"),
        ('[functions.x]\nverify_jwt = false\ncaller = "friend"', "caller must be one of"),
        ("[functions.x]\nverify_jwt = false\ncaller = 3", "caller must be one of"),
        ('[functions.x]\ncaller = "service"', "verify_jwt"),
        ('[functions.x]\nverify_jwt = true\ncaller = "service"', "verify_jwt"),
        ('[functions.x]\nverify_jwt = false\ncaller = "user"', "verify_jwt"),
        ('[functions.x]\nverify_jwt = 0\ncaller = "service"', "verify_jwt must be true or false"),
        (ENTRY + 'schedule = "0 22 * * 0"', "only a function with caller"),
        ('[functions.x]\nverify_jwt = false\ncaller = "cron"\nschedule = "daily"', "five fields"),
    ],
)
def test_mistakes_in_the_file_are_named(written: Written, text: str, says: str) -> None:
    """The gateway does not start on a file that it does not understand."""
    with pytest.raises(SettingsError, match=says):
        load_functions(written(text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    """No supabase.toml, no gateway."""
    with pytest.raises(SettingsError, match=r"supabase\.toml cannot be read"):
        load_functions(tmp_path / "supabase.toml")


def test_entry_without_a_handler_is_named(unconnected: Database) -> None:
    """An entry for a function that nobody wrote is no route that fails later."""
    with pytest.raises(SettingsError, match=r"edge\.no_such has no `handle`"):
        create_app(unconnected, Settings(), [EdgeFunction("no-such", "stranger")])


def test_bug_22_cron_functions_are_closed_to_strangers(db: Database, logs: Logs) -> None:
    """Whoever knows the address of a cron function could run it; now the service key is asked for."""
    functions = [EdgeFunction("start-trial", "cron", schedule="* * * * *")]
    with serving(db, functions=functions) as client:
        refused = client.post("/functions/v1/start-trial", json={})
        taken = client.post(
            "/functions/v1/start-trial", json={}, headers={"authorization": f"Bearer {SERVICE_KEY}"}
        )
    assert (refused.status_code, taken.status_code) == (401, 400)
