"""An upgrade without a stop: migrate first, then restart process by process. Meanwhile the last release's
Python works on today's schema, alone and beside today's.

The one step that needs every process upgraded first is encrypting credentials: the last release cannot read
what the new one has sealed. So: migrate, restart all gateways and workers, then `roleta encrypt-credentials`.
"""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.simulator.instances import numbered
from scripts.simulator.process import SimulatorProcess
from tests.database.content_world import person
from tests.database.world import Connect, World
from tests.migration.last_release import LAST, ROOT, Release, Version, unpack
from tests.scripts.roleta import RunningRoleta, ended
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.scoreboard("R17", tier="landing")]

KEY = "service-role-key-" + "u" * 40
AS_SERVICE = {"authorization": f"Bearer {KEY}"}
NUMBERS = 4
PEOPLE, MESSAGES, WRITERS = 20, 80, 6
Start = Callable[..., RunningRoleta]


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """Z-API with receipts, which posts its events to plain HTTP addresses."""
    log = tmp_path / "simulator.log"
    with SimulatorProcess(log=log, instances=NUMBERS, allow_http=True) as running:
        running.control("options", queue_interval_s=0)
        running.control("receipts", mode="in_order", until="READ")
        yield running


@pytest.fixture
def world(connect: Connect) -> World:
    """A session for what the app itself writes, and to look. It is never night here, whenever this runs."""
    made = World(connect())
    made.rows(
        "create or replace function messaging.quiet_until(p_at timestamptz, p_time_zone text)"
        " returns timestamptz language sql stable security invoker return null::timestamptz"
    )
    return made


@pytest.fixture
def old(tmp_path: Path, database_url: str, simulator: SimulatorProcess) -> Version:
    """The last release over this database."""
    return _version(unpack(tmp_path / "old"), tmp_path, database_url, simulator)


@pytest.fixture
def new(tmp_path: Path, database_url: str, simulator: SimulatorProcess) -> Version:
    """Today's tree over this database."""
    return _version(ROOT, tmp_path, database_url, simulator)


def _version(tree: Path, home: Path, database_url: str, simulator: SimulatorProcess) -> Version:
    return Version(
        tree,
        home,
        # A process must not need more rights than Supabase's service_role has.
        DATABASE_URL=f"{database_url}?options=-c%20role%3Dservice_role",
        ROLETA_ZAPI_BASE_URL=simulator.base_url,
        SUPABASE_SERVICE_ROLE_KEY=KEY,
        ROLETA_REPLY_DEBOUNCE_S="0",
    )


@pytest.fixture
def start() -> Iterator[Start]:
    """Call it with a version and words to start a process; all are ended afterwards."""
    with ExitStack() as stack:

        def run(version: Version, *words: str) -> RunningRoleta:
            return stack.enter_context(ended(version.started(*words)))

        yield run


def _served(start: Start, version: Version) -> tuple[RunningRoleta, str]:
    gateway = start(version, "serve", "--port", "0")
    return gateway, gateway.hears('"listening"').partition('"address": "')[2].partition('"')[0]


def _add_numbers(version: Version, world: World, gateway: str, indexes: Iterable[int]) -> None:
    """As an operator adds them, with webhooks that lead to this gateway; without a gap."""
    for index in indexes:
        made = numbered(index)
        secrets = "\n".join(made[key] for key in ("id", "token", "client_token")) + "\n"
        version.said("instance", "add", f"Aura #{index}", stdin=secrets, ROLETA_PUBLIC_URL=gateway)
    world.rows("select messaging.set_gaps(id, 0, 0, 'test', 0.01, 1) from public.whatsapp_instances")


def _post(gateway: str, slug: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = httpx.post(
        f"{gateway}/functions/v1/{slug}", json=body, headers=headers, timeout=30, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _sign_up(gateway: str, phone: str) -> dict[str, Any]:
    return _post(gateway, "start-trial", {"name": "Ana Lima", "phone": phone, "email": "ana@example.com"})


def _read_by_all(world: World, purpose: str) -> list[int]:
    """The messages of a purpose, once each is accepted and its person has read it; [] before."""
    rows = world.rows(
        "select id, dispatch_state, delivery_state from messaging.outbox where purpose = %s", purpose
    )
    are_read = all((row["dispatch_state"], row["delivery_state"]) == ("accepted", "read") for row in rows)
    return [row["id"] for row in rows] if are_read else []


def test_the_last_release_works_on_this_schema(
    old: Version, world: World, simulator: SimulatorProcess, start: Start
) -> None:
    """Gateway, worker and commands of the last release on a database that was migrated today: a sign-up is
    welcomed, an event is answered, receipts arrive, a report is composed and sent, operators see it all."""
    assert old.imports_from() == {str(old.tree)}
    gateway, address = _served(start, old)
    worker = start(old, "work", "--name", "old-1")
    _add_numbers(old, world, address, range(1, 3))

    signed = _sign_up(address, "5511987650001")
    assert signed["success"] is True
    assert _sign_up(address, "551187650001")["alreadyExists"] is True
    [welcome] = eventually(partial(_read_by_all, world, "welcome"), 30, "a welcome that was read")

    number = world.value(
        "select i.zapi_instance_id from public.whatsapp_instances as i"
        " join messaging.outbox as o on o.instance_id = i.id where o.id = %s",
        welcome,
    )
    simulator.control("inbound", instance_id=number, phone="5511987650001", text="Oi, tudo bem?", copies=3)
    eventually(partial(_read_by_all, world, "answer"), 30, "an answer that was read")

    person(world, name="Bia")
    assert _post(address, "weekly-report", {}, **AS_SERVICE)["reportsSent"] == 1
    eventually(partial(_read_by_all, world, "weekly_report"), 30, "a report that was read")

    message = {"phone": "5511987650001", "message": "Sua sessão foi marcada."}
    _post(address, "send-zapi-message", message, **AS_SERVICE)
    eventually(partial(_read_by_all, world, "direct"), 30, "a message of the app that was read")

    status = json.loads(old.said("status", "--json"))
    assert [(row["status"], row["unknown"]) for row in status["numbers"]] == [("active", 0)] * 2
    assert (status["audit_findings"], status["failed_effects"]) == (0, 0)
    assert json.loads(old.said("why", str(welcome), "--json"))["delivery_state"] == "read"
    old.said("why", str(welcome))
    old.said("audit")
    waiting = world.enqueue(phone="5511987650009", not_before=world.value("select now() + interval '1 hour'"))
    old.said("cancel", "--message", str(waiting), "--why", "the test", "--yes")
    assert world.state(waiting) == "withdrawn"

    assert (worker.asked_to_stop(), gateway.asked_to_stop()) == (0, 0)
    for process in (worker, gateway):
        assert "Traceback" not in process.said and '"error"' not in process.said, process.said
    texts = Counter((line["phone"], line["text"]) for line in simulator.accepted())
    assert max(texts.values()) == 1


def test_old_and_new_beside_each_other_send_nothing_twice(
    old: Version, new: Version, world: World, simulator: SimulatorProcess, start: Start
) -> None:
    """A rolling deploy: two workers and a gateway of each release on one database, one worker of each killed
    on the way. Every sign-up is one person, every message goes once, every event is answered once."""
    gateways = [_served(start, version) for version in (old, new)]
    for first, (_, address) in zip((1, 3), gateways, strict=True):
        # By the last release: what today's would seal, that one cannot open (migrations/README.md).
        _add_numbers(old, world, address, range(first, first + 2))
    # What a killed worker had taken is free again after 5 s + this.
    world.rows("update messaging.senders set send_timeout_s = 3")
    workers = {
        f"{name}-{at}": start(version, "work", "--name", f"{name}-{at}")
        for name, version in (("old", old), ("new", new))
        for at in (1, 2)
    }
    running = [*workers.values(), *(gateway for gateway, _ in gateways)]
    for worker in workers.values():
        worker.hears('"started"')

    phones = [f"55119{80_000_000 + at:08d}" for at in range(PEOPLE)]
    signed = [_sign_up(address, phone) for phone in phones for _, address in gateways]
    assert sum("success" in each for each in signed) == len(phones)
    numbers = [row["id"] for row in world.rows("select id from public.whatsapp_instances order by name")]
    for at in range(MESSAGES):
        phone = f"55119{70_000_000 + at:08d}"
        world.enqueue(numbers[at % NUMBERS], phone=phone, content={"kind": "text", "text": f"text {at}"})
    _until(running, lambda: {"old", "new"} <= _releases_at_work(world), "work of both releases")
    for name in ("old-1", "new-1"):
        workers[name].process.send_signal(signal.SIGKILL)
    for phone in phones[:WRITERS]:
        number = world.value(
            "select i.zapi_instance_id from public.whatsapp_instances as i"
            " join public.profiles as p on p.whatsapp_instance_id = i.id"
            " where messaging.phone_key(p.phone) = messaging.phone_key(%s)",
            phone,
        )
        simulator.control("inbound", instance_id=number, phone=phone, text="Oi", copies=2)
    _until(running, lambda: _counts(world)["answers"] == WRITERS, "an answer for each who wrote")
    _until(running, lambda: _counts(world)["open"] == 0, "every message ended")

    for name in ("old-2", "new-2"):
        assert workers[name].asked_to_stop() == 0
    for process in running:
        assert "Traceback" not in process.said and '"error"' not in process.said, process.said
    assert _counts(world) == {"answers": WRITERS, "open": 0, "all": PEOPLE + MESSAGES + WRITERS}
    sent = Counter((line["phone"], line["text"]) for line in simulator.accepted())
    assert [key for key, times in sent.items() if times > 1] == []


def _until(running: Sequence[RunningRoleta], condition: Callable[[], bool], what: str) -> None:
    """Waits, and reads meanwhile what the processes say: a full pipe would stop them."""
    eventually(lambda: ([process.said for process in running], condition())[1], 60, what)


def _releases_at_work(world: World) -> set[str]:
    rows = world.rows("select distinct split_part(worker, '-', 1) as release from messaging.attempts")
    return {row["release"] for row in rows}


def _counts(world: World) -> dict[str, int]:
    """How many answers there are, how many messages have not ended (what the killed had begun is unknown),
    and how many messages in all."""
    [row] = world.rows(
        "select count(*) filter (where purpose = 'answer') as answers, count(*) as \"all\","
        " count(*) filter (where dispatch_state not in ('accepted', 'unknown')) as open from messaging.outbox"
    )
    return row


def test_a_clone_without_the_release_says_what_to_fetch(tmp_path: Path) -> None:
    """CI may clone shallowly: then this is no riddle."""
    with pytest.raises(pytest.fail.Exception, match="git fetch --unshallow"):
        unpack(tmp_path, Release(LAST.tag, "0" * 40))
