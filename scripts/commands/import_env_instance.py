"""`roleta import-env-instance`: the number of the ZAPI_* variables as a row. Safe to repeat."""

from collections.abc import Callable

import click

from scripts.commands.surroundings import Surroundings, by_option, pass_surroundings, say
from shared import instances
from shared.credentials import VARIABLE, KeyRing
from shared.db import Database
from shared.errors import Conflict, SettingsError
from shared.settings import Settings

Say = Callable[[str], None]


@click.command("import-env-instance")
@by_option
@pass_surroundings
def import_env_instance(around: Surroundings, by: str) -> None:
    """Make the number of ZAPI_* a row, or renew its token; link the people who have no number."""
    if not around.settings.has_zapi:
        raise SettingsError(
            "ZAPI_INSTANCE_ID, ZAPI_TOKEN and ZAPI_CLIENT_TOKEN are not set: set them in .env"
        )
    import_if_set(around, by=by, say=say)


def import_if_set(around: Surroundings, *, by: str, say: Say) -> None:
    """Imports the number where ZAPI_* are set; elsewhere does nothing."""
    if not around.settings.has_zapi:
        return
    if around.running is not None and around.running.simulator_url:
        raise Conflict(
            "the `up` that runs here works on the sample database, where no real number belongs: "
            "set DATABASE_URL, or stop it and start it again with ZAPI_* set"
        )
    with around.database() as db:
        import_number(db, around.settings, by=by, say=say)


def import_number(db: Database, settings: Settings, *, by: str, say: Say) -> None:
    """Makes or renews the row. The default number also gets everybody without one, 1,000 at a time.

    A second id makes a second number and moves nobody.
    """
    ring = KeyRing.from_settings(settings)
    imported = instances.import_environment(db, _credentials(settings), by=by, ring=ring)
    name = instances.find(db, str(imported.instance_id)).name
    if not ring:
        say(
            f"the credentials of {name} stand in plain text in the database, since {VARIABLE} is not set: "
            "`roleta credentials new-key` makes a key, `roleta encrypt-credentials` seals them"
        )
    if imported.created:
        say(f"the number of ZAPI_INSTANCE_ID is now {name}")
    elif imported.updated:
        say(f"{name} has the new credentials of ZAPI_*")
    if not imported.is_default:
        if imported.created:
            say(f"{name} is not the default number and nobody was moved to it")
        return
    linked = 0
    while batch := instances.link_profiles(db, imported.instance_id):
        linked += batch
        say(f"linked {linked} people without a number to {name}")


def _credentials(settings: Settings) -> instances.Credentials:
    return instances.Credentials(
        settings.zapi_instance_id or "", settings.zapi_token or "", settings.zapi_client_token or ""
    )
