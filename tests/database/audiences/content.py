"""Who gets a weekly report, an episode, a word about the calendar: each condition of those audiences."""

from collections.abc import Callable
from uuid import UUID

from tests.database.audiences import Condition
from tests.database.content_world import at, change, episode, journey, opted_out, person, plan, session
from tests.database.world import World

Maker = Callable[[World], UUID]
WEEKLY, CONTENT = "people_weekly_report", "people_content"
SETUP, RENEWAL = "people_schedule_setup", "people_schedule_renewal"


def made(**columns: object) -> Maker:
    """A person with these columns of profiles."""
    return lambda world: person(world, **columns)


def moved(column: str, interval: str) -> Maker:
    """A person whose column holds the database's time moved by an interval."""
    return lambda world: person(world, **{column: at(world, interval)})


def with_session(session_state: str) -> Maker:
    """A person with one session, begun a moment ago."""

    def make(world: World) -> UUID:
        found = person(world)
        session(world, found, session_state, at(world, "-5 minutes"))
        return found

    return make


def on_journey(maker: Maker, **place: object) -> Maker:
    """The person on a journey of eight, before its first episode unless `place` says otherwise."""

    def make(world: World) -> UUID:
        found = maker(world)
        change(world, found, **({"current_journey_id": journey(world)} | place))
        return found

    return make


def before_a_hole(world: World) -> UUID:
    """A person whose next episode nobody wrote, though later ones are there."""
    name = journey(world, written=2)
    episode(world, name, 4)
    return person(world, current_journey_id=name, current_episode=2)


def behind_the_last(world: World) -> UUID:
    """A person who has had all episodes."""
    return person(world, current_journey_id=journey(world), current_episode=8)


def needing(maker: Maker) -> Maker:
    """The person on a plan with sessions, without days and times."""

    def make(world: World) -> UUID:
        found = maker(world)
        change(world, found, plan=plan(world), needs_schedule_setup=True)
        return found

    return make


def on_plan(maker: Maker, sessions: int = 4) -> Maker:
    """The person on a plan with so many sessions, needing a schedule."""

    def make(world: World) -> UUID:
        found = maker(world)
        change(world, found, plan=plan(world, f"plano {sessions}", sessions), needs_schedule_setup=True)
        return found

    return make


def booked(session_state: str, moment: str) -> Maker:
    """A person on a plan with sessions who has one at that moment."""

    def make(world: World) -> UUID:
        found = on_plan(person)(world)
        session(world, found, session_state, moment)
        return found

    return make


def rules(function: str, fragment: str, wrap: Callable[[Maker], Maker]) -> list[Condition]:
    """The one place of the rules: opt-out, do-not-disturb, no phone."""
    return [
        Condition(function, "not who opted out", fragment, wrap(person), wrap(opted_out)),
        Condition(
            function,
            "not who wants peace now",
            fragment,
            wrap(moved("do_not_disturb_until", "0 s")),
            wrap(moved("do_not_disturb_until", "1 s")),
        ),
        Condition(function, "with a phone", fragment, wrap(person), wrap(made(phone=None))),
        Condition(function, "with a phone that is one", fragment, wrap(person), wrap(made(phone="ramal 12"))),
    ]


MAY_CHOOSE_WEEKLY = "messaging.may_choose('weekly_report', p.id, p.phone)"
LAST_ASKED = (
    "coalesce(messaging.local_date(p.schedule_setup_sent_at) <= messaging.local_date(v_now) - 3, true)"
)

CONDITIONS = [
    Condition(WEEKLY, "active", "p.status = 'active'", person, made(status="trial")),
    Condition(
        WEEKLY,
        "not in a session",
        "not exists (select from public.sessions as s where s.user_id = p.user_id"
        " and s.status = 'in_progress')",
        with_session("completed"),
        with_session("in_progress"),
    ),
    Condition(
        WEEKLY,
        "not talking to us",
        "coalesce(messaging.last_wrote_at(p) <= v_now - interval '10 minutes', true)",
        moved("last_user_message_at", "-10 minutes"),
        moved("last_user_message_at", "-599 s"),
    ),
    *rules(WEEKLY, MAY_CHOOSE_WEEKLY, lambda maker: maker),
    Condition(
        WEEKLY,
        "not silent for a week",
        MAY_CHOOSE_WEEKLY,
        moved("last_user_message_at", "-7 days"),
        moved("last_user_message_at", "-604801 s"),
    ),
    Condition(
        CONTENT,
        "active or trial",
        "p.status in ('active', 'trial')",
        on_journey(made(status="trial")),
        on_journey(made(status="canceled")),
    ),
    Condition(CONTENT, "on a journey", "p.current_journey_id = j.id", on_journey(person), person),
    Condition(
        CONTENT,
        "no content within 2.5 days",
        "coalesce(p.last_content_sent_at < v_now - interval '60 hours', true)",
        on_journey(moved("last_content_sent_at", "-216001 s")),
        on_journey(moved("last_content_sent_at", "-216000 s")),
    ),
    Condition(
        CONTENT,
        "no hole in the journey",
        "(e.id is not null or k.episode > k.episodes)",
        behind_the_last,
        before_a_hole,
        purpose="content_completed",
    ),
    *rules(CONTENT, "messaging.may_choose(k.purpose, p.id, p.phone)", on_journey),
    Condition(SETUP, "active", "p.status = 'active'", needing(person), needing(made(status="canceled"))),
    Condition(
        SETUP,
        "needs a schedule",
        "p.needs_schedule_setup",
        needing(person),
        lambda world: person(world, plan=plan(world)),
    ),
    Condition(
        SETUP, "a plan with sessions", "c.sessions_per_month > 0", on_plan(person, 1), on_plan(person, 0)
    ),
    Condition(
        SETUP,
        "every third day",
        LAST_ASKED,
        needing(moved("schedule_setup_sent_at", "-2 days -13 hours")),
        needing(moved("schedule_setup_sent_at", "-2 days -12 hours")),
    ),
    *rules(SETUP, "messaging.may_choose('schedule_setup', p.id, p.phone)", needing),
    Condition(RENEWAL, "active", "p.status = 'active'", on_plan(person), on_plan(made(status="trial"))),
    Condition(
        RENEWAL, "a plan with sessions", "c.sessions_per_month > 0", on_plan(person, 1), on_plan(person, 0)
    ),
    *(
        Condition(
            RENEWAL,
            f"nothing booked this month: {session_state} at {inside}",
            "not messaging.books_this_month(p.user_id, v_now)",
            booked(session_state, inside),
            booked("scheduled", outside),
        )
        for session_state, inside, outside in (
            ("scheduled", "2026-12-01 00:00-03", "2026-11-30 23:59:59-03"),
            ("scheduled", "2026-11-18 11:59:59-03", "2026-11-18 12:00-03"),
            ("cancelled", "2026-11-25 12:00-03", "2026-11-25 12:00-03"),
        )
    ),
    Condition(
        RENEWAL,
        "once a month",
        "coalesce(messaging.local_date(p.schedule_renewal_sent_at) < v_month, true)",
        on_plan(made(schedule_renewal_sent_at="2026-10-31 23:59:59-03")),
        on_plan(made(schedule_renewal_sent_at="2026-11-01 00:00-03")),
    ),
    *rules(RENEWAL, "messaging.may_choose('schedule_renewal', p.id, p.phone)", on_plan),
]
