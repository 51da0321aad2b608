"""`roleta instance add|test|rotate-webhook` against the real simulator; its secrets are the canaries."""

import os
import pty
import select
import subprocess
from uuid import UUID

import pytest

from scripts.simulator.process import SimulatorProcess
from shared import instances
from shared.db import Database
from tests.scripts.conftest import secrets_of
from tests.scripts.roleta import COMMAND, FOREIGN, Roleta

PUBLIC = "https://gateway.example.com"


def _lines(index: int = 1) -> str:
    return "\n".join(secrets_of(index).as_row().values()) + "\n"


@pytest.fixture
def near(roleta: Roleta, simulator: SimulatorProcess) -> Roleta:
    """The command, with the simulator in Z-API's place."""
    return Roleta(roleta.home, **roleta.settings, ROLETA_ZAPI_BASE_URL=simulator.base_url)


def _webhooks(simulator: SimulatorProcess, index: int = 1) -> set[str]:
    return set(simulator.instances()[index - 1]["webhooks"].values())


def test_add_checks_the_number_and_sets_it_up(
    near: Roleta, simulator: SimulatorProcess, db: Database
) -> None:
    """Status and phone are read, queuing is off, all webhooks lead here, and no secret is printed."""
    said = near.well("instance", "add", "Aura #1", "--seats", "30", stdin=_lines(), ROLETA_PUBLIC_URL=PUBLIC)

    assert "added Aura #1, phone …0001, 30 seats, the default number" in said
    assert "queuing while disconnected is off" in said
    added = instances.find(db, "Aura #1")
    assert (added.phone_number, added.instance_status, added.seats) == ("5551990000001", "active", 30)
    there = simulator.instances()[0]
    assert there["disable_enqueue_when_disconnected"] is True
    assert there["notify_sent_by_me"] is True
    [address] = _webhooks(simulator)
    token = address.removeprefix(f"{PUBLIC}/functions/v1/webhook-zapi/")
    assert len(token) >= 43
    for secret in [*secrets_of(1).as_row().values(), token]:
        assert secret not in said


def test_add_without_a_public_address_says_how_to_go_on(
    near: Roleta, simulator: SimulatorProcess, db: Database
) -> None:
    """No ROLETA_PUBLIC_URL is no failure: the number is there, and the line says what to do later."""
    said = near.well("instance", "add", "Aura #1", stdin=_lines())

    assert "ROLETA_PUBLIC_URL is not set" in said
    assert "rotate-webhook" in said
    assert _webhooks(simulator) == set()
    assert instances.find(db, "Aura #1").has_webhook is False


def test_a_failed_check_adds_nothing__refused(near: Roleta, simulator: SimulatorProcess) -> None:
    """A number without its phone is not added, unless --force; then it starts as disconnected."""
    simulator.control("disconnect", instance_id=secrets_of(1).zapi_instance_id)
    line = near.refused("instance", "add", "Aura #1", stdin=_lines())

    assert "nothing added" in line
    assert "not connected" in line
    assert near.told("instance", "list", "--json") == []
    forced = near("instance", "add", "Aura #1", "--force", stdin=_lines())
    assert forced.exit_code == 0, forced.output
    assert near.told("instance", "list", "--json")[0]["instance_status"] == "disconnected"


def test_wrong_secrets_add_nothing_and_are_not_shown__refused(near: Roleta) -> None:
    """Z-API echoes a wrong Client-Token back: the line that a person sees does not."""
    made = secrets_of(1)
    for given in (
        f"{made.zapi_instance_id}\n{made.zapi_token}\ncanary-client-7\n",
        f"{made.zapi_instance_id}\ncanary-token-7\n{made.zapi_client_token}\n",
        f"{made.zapi_instance_id}\nwith blank canary\n{made.zapi_client_token}\n",
    ):
        line = near.refused("instance", "add", "Aura #1", stdin=given)
        assert "canary" not in line
        assert made.zapi_token not in line
    assert near.told("instance", "list", "--json") == []


def test_a_provider_that_does_not_answer_adds_nothing__refused(roleta: Roleta) -> None:
    """Nothing listens there: one line, nothing added."""
    line = roleta.refused(
        "instance", "add", "Aura #1", stdin=_lines(), ROLETA_ZAPI_BASE_URL="http://127.0.0.1:9"
    )

    assert "nothing added" in line
    assert roleta.told("instance", "list", "--json") == []


def test_add_wants_three_lines_and_a_new_name__refused(near: Roleta, aura: UUID) -> None:
    """Too few lines, a name or an id that is there already: told before or after the check, in a line."""
    assert "three are needed" in near.refused("instance", "add", "Aura #2", stdin="one\ntwo\n")
    assert "exists already" in near.refused("instance", "add", "Aura #1", stdin=_lines(2))
    assert "exists already" in near.refused("instance", "add", "Aura #2", stdin=_lines(1))


def test_secrets_are_never_arguments(near: Roleta) -> None:
    """What stands in a command line can be read by every user of the machine."""
    assert near("instance", "add", "Aura #1", *secrets_of(1).as_row().values()).exit_code == 2


def test_the_prompt_on_a_terminal_shows_no_secret(
    near: Roleta, simulator: SimulatorProcess, db: Database
) -> None:
    """Typed at a terminal, the three secrets are not echoed."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    process = subprocess.Popen(
        [*COMMAND, "instance", "add", "Aura #1"],
        env={**inherited, **near.environment()},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    typed = list(secrets_of(1).as_row().values())
    try:
        while select.select([ours], [], [], 60)[0]:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # what a pseudo-terminal says when the other side is gone
                break
            said += piece
            if said.endswith(b": ") and typed:
                os.write(ours, typed.pop(0).encode() + b"\n")
        assert process.wait(60) == 0, said.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)

    assert "Client-Token" in said.decode()
    for secret in secrets_of(1).as_row().values():
        assert secret not in said.decode()
    assert instances.find(db, "Aura #1").phone_number == "5551990000001"


def test_test_tells_and_records_what_the_provider_says(
    near: Roleta, simulator: SimulatorProcess, aura: UUID
) -> None:
    """Connected: exit code 0. Disconnected: recorded, told, exit code 1. Back again: active again."""
    assert "connected, phone …0001; it is active" in near.well("instance", "test", "Aura #1")
    simulator.control("disconnect", instance_id=secrets_of(1).zapi_instance_id)
    result = near("instance", "test", "Aura #1")
    assert result.exit_code == 1
    assert "not connected" in result.stdout
    assert "it is disconnected" in result.stdout
    simulator.control("connect", instance_id=secrets_of(1).zapi_instance_id)
    assert "it is active" in near.well("instance", "test", "Aura #1")


def test_test_of_a_lapsed_number_halts_it(near: Roleta, simulator: SimulatorProcess, aura: UUID) -> None:
    """A refusal of the account halts the number, and the list says so."""
    simulator.control("lapse", instance_id=secrets_of(1).zapi_instance_id)

    assert "Z-API refuses it" in near("instance", "test", "Aura #1").stdout
    assert "halted: subscription_lapsed" in near.well("instance", "list")


def test_test_warns_of_another_phone(
    near: Roleta, simulator: SimulatorProcess, aura: UUID, db: Database
) -> None:
    """A number paired with another phone than before is pointed out, not overwritten."""
    simulator.control("connect", instance_id=secrets_of(1).zapi_instance_id, phone="5551990009999")

    assert "another phone than before (…0001)" in near.well("instance", "test", "Aura #1")
    assert instances.find(db, "Aura #1").phone_number == "5551990000001"


def test_rotate_sets_a_new_secret_here_and_there(
    near: Roleta, simulator: SimulatorProcess, aura: UUID, db: Database
) -> None:
    """The address at Z-API has a new secret, and the one before stays valid for what is under way."""
    near.well("instance", "rotate-webhook", "Aura #1", ROLETA_PUBLIC_URL=PUBLIC)
    first, first_hash = _webhooks(simulator), instances.webhook_token_hash(db, aura)
    near.well("instance", "rotate-webhook", "Aura #1", ROLETA_PUBLIC_URL=PUBLIC)

    assert _webhooks(simulator) != first
    assert instances.webhook_token_hash(db, aura) != first_hash
    [found] = db.call("messaging.webhook_instance", p_token_hash=first_hash)
    assert found["instance_id"] == aura


def test_a_rotation_that_the_provider_refuses_leaves_the_address_before_in_force(
    near: Roleta, simulator: SimulatorProcess, aura: UUID, db: Database
) -> None:
    """However often it fails, what Z-API still uses is still accepted."""
    near.well("instance", "rotate-webhook", "Aura #1", ROLETA_PUBLIC_URL=PUBLIC)
    before = instances.webhook_token_hash(db, aura)
    simulator.control("lapse", instance_id=secrets_of(1).zapi_instance_id)
    for _ in range(2):
        result = near("instance", "rotate-webhook", "Aura #1", ROLETA_PUBLIC_URL=PUBLIC)
        assert result.exit_code == 1
        assert "could not be set" in result.stdout

    assert instances.webhook_token_hash(db, aura) == before


def test_rotate_without_a_public_address__refused(near: Roleta, aura: UUID, db: Database) -> None:
    """Nothing changes where there is no address to set."""
    assert near("instance", "rotate-webhook", "Aura #1").exit_code == 1
    assert instances.webhook_token_hash(db, aura) is None
