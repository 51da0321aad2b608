"""weekly-report for 10,000 people: nobody is waited for, and the end that it tells is the end that comes.

How long it takes to answer: tests/edge/test_weekly_report.py.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
import structlog

from edge import runs
from scripts.embedded import bootstrap_supabase
from scripts.migrate import apply_all
from scripts.simulate import checks, town
from scripts.simulate.driver import Driver
from scripts.simulate.life import TownAgent
from shared import log
from shared.db import Database
from shared.settings import Settings
from tests.servers import database_server, fresh_database

pytestmark = pytest.mark.slow

EACH = 250  # people of a number
# A Sunday morning, far enough from the night for the whole run.
START = datetime(2026, 11, 22, 9, 0, 30, tzinfo=town.ZONE)
_PEOPLE = """
    insert into public.profiles (
        user_id, name, phone, status, plan, last_user_message_at, last_message_date,
        whatsapp_instance_id, created_at
    )
    select
        gen_random_uuid(), 'Ana', '55119' || (60000000 + n * 3989), 'active', 'essencial',
        messaging.clock() - interval '1 day', (messaging.clock() - interval '1 day')::date,
        i.ids[1 + n %% %(numbers)s], messaging.clock() - interval '60 days'
    from generate_series(1, %(people)s) as n
    cross join (select array_agg(i.id order by i.name) as ids from public.whatsapp_instances as i) as i
"""
_MESSAGES = """
    insert into public.messages (user_id, role, content, created_at)
    select p.user_id, case m % 2 when 0 then 'user' else 'assistant' end, 'Um dia depois do outro.',
        messaging.clock() - make_interval(hours => 5 * m)
    from public.profiles as p
    cross join generate_series(1, 20) as m
"""
_ANSWER = """
    select count(*) from messaging.enqueue(jsonb_build_object(
        'purpose', 'answer', 'phone', %s::text, 'instance_id', %s::text, 'dedupe_key', %s::text,
        'enqueued_by', 'test', 'content', jsonb_build_object('kind', 'text', 'text', 'Oi!')
    ))
"""
_BEGUN = """
    select count(*) from messaging.attempts as a join messaging.outbox as o on o.id = a.message_id
    where o.lane = 'bulk'
"""


@pytest.fixture
def driver(numbers: int) -> Iterator[Driver]:
    """250 people for each number, who wrote lately, and a worker in virtual time."""
    log.configure("WARNING")
    with database_server() as server, fresh_database(server.url) as url:
        bootstrap_supabase(url)
        apply_all(url, say=lambda _: None)
        source = random.Random(7)
        with psycopg.connect(url, autocommit=True) as connection, Database(url, max_size=2) as db:
            driver = Driver(connection, db, Settings(), TownAgent(source), source, START)
            town.build(connection, source, people=0, numbers=numbers, start=START)
            connection.execute(_PEOPLE, {"people": numbers * EACH, "numbers": numbers})
            connection.execute(_MESSAGES)
            connection.execute("vacuum (analyze)")
            yield driver


@pytest.mark.parametrize(
    ("numbers", "replies_per_hour", "within"),
    [(40, 0, 0.10), (40, 60, 0.20)],
    ids=["alone", "beside-answers"],
)
def test_the_run_returns_at_once_and_tells_when_it_will_end(
    *, driver: Driver, numbers: int, replies_per_hour: int, within: float
) -> None:
    """Nothing has left yet, and the end told right after is off by at most a tenth of the time that it takes
    for 10,000 people on 40 numbers; by a fifth where each number also answers sixty times an hour."""
    people = numbers * EACH
    _plan_answers(driver, replies_per_hour)
    driver.run_until(START + timedelta(hours=1, minutes=10))
    asked_at = driver.now

    answer = runs.run_function("weekly-report", driver.db, driver.settings, structlog.get_logger())

    assert driver.connection.execute(_BEGUN).fetchone() == (0,)
    assert (answer["totalUsers"], answer["reportsSent"]) == (people, people)
    told = datetime.fromisoformat(str(answer["expectedEnd"]))
    driver.compose()
    driver.run_until(asked_at + timedelta(hours=5))
    reports = [each for each in checks.attempts(driver.connection) if each.purpose == "weekly_report"]
    ended = max(each.begun_at for each in reports)
    off = abs((ended - told) / (ended - asked_at))
    print(f"told {told - asked_at}, came {ended - asked_at}, off by {off:.1%}")
    assert len({each.phone for each in reports}) == people
    assert off <= within


def _plan_answers(driver: Driver, per_hour: int) -> None:
    instances = [str(row[0]) for row in driver.connection.execute("select id from public.whatsapp_instances")]
    for number, instance in enumerate(instances if per_hour else []):
        at, n = START, 0
        while at < START + timedelta(hours=6):
            at += timedelta(hours=driver.source.expovariate(per_hour))
            n += 1
            parameters = [f"55119{7_000_000 + number:07d}{n % 10}", instance, f"answer:{number}:{n}"]
            driver.plan(at, lambda p=parameters: driver.connection.execute(_ANSWER, p))  # type: ignore[misc]
