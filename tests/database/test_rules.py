"""The rules of each kind of message, as decisions.md has them, and what each does to one that waits."""

from typing import NamedTuple

import pytest

from tests.database.world import BentClock, World

DAY = "2026-11-18 12:00-03"
NIGHT = "2026-11-18 23:00-03"


class Rules(NamedTuple):
    """One row of the table of lanes and rules."""

    lane: str
    quiet_hours: bool
    do_not_disturb: bool
    opt_out: bool
    expires_h: float
    on_unknown: str
    silence_d: int | None = None
    nudge: bool = False


SOLICITED = Rules("timed", False, False, False, 24, "hold")
ON_REQUEST = SOLICITED._replace(expires_h=6)
BOOKED = Rules("timed", False, False, True, 1, "drop")
AROUND = Rules("timed", True, False, True, 6, "drop")
AFTER = Rules("timed", False, False, True, 6, "hold")
OURS = Rules("bulk", True, True, True, 24, "drop")
TABLE: dict[str, Rules] = {
    "answer": Rules("reply", False, False, False, 0.25, "hold"),
    **dict.fromkeys(["welcome", "upgrade", "welcome_back", "farewell", "payment"], SOLICITED),
    **dict.fromkeys(["direct", "meditation_intro", "meditation"], ON_REQUEST),
    **dict.fromkeys(["session_1h", "session_15m", "session_start"], BOOKED),
    "session_nudge": BOOKED._replace(nudge=True),
    **dict.fromkeys(["session_24h", "session_missed", "session_abandoned"], AROUND),
    **dict.fromkeys(["session_summary", "session_rating"], AFTER),
    "commitment_followup": OURS._replace(silence_d=7),
    **dict.fromkeys(["checkin", "reactivation"], OURS._replace(nudge=True)),
    "reactivation_missed": OURS,
    "conversation_followup": OURS._replace(expires_h=2, nudge=True),
    "weekly_report": OURS._replace(on_unknown="hold", silence_d=7),
    **dict.fromkeys(["content", "content_completed"], OURS._replace(on_unknown="hold")),
    **dict.fromkeys(["schedule_setup", "schedule_renewal"], OURS),
    "agency_report": Rules("bulk", False, False, True, 6, "hold"),
    "balance_alert": AFTER._replace(on_unknown="resend_once"),
    "agency_message": AFTER,
    "agency_optout": Rules("reply", False, False, False, 0.25, "hold"),
}


def waiting(world: World, purpose: str) -> int:
    """A message of this kind to a person of the house who wrote an hour ago, due now, good for two days."""
    number = world.number()
    person = world.profile("5511987650001", number)
    world.rows(
        "update public.profiles set last_user_message_at = messaging.clock() - interval '1 h' where id = %s",
        person,
    )
    return world.enqueue(
        number,
        purpose=purpose,
        phone="5511987650001",
        profile_id=str(person),
        expires_at=world.value("select messaging.clock() + interval '2 days'"),
    )


def verdict(world: World, message: int) -> tuple[str, str | None]:
    """What the head of the queue is told, as claim and begin hear it."""
    row = world.rows(
        "select v.action, v.why from messaging.outbox as o, messaging.judge(o, messaging.clock()) as v"
        " where o.id = %s",
        message,
    )[0]
    return row["action"], row["why"]


def chosen(world: World, purpose: str) -> bool:
    """Whether the person may stand in an audience of this kind."""
    return bool(
        world.value("select messaging.may_choose(%s, p.id, p.phone) from public.profiles as p", purpose)
    )


def test_the_rules_of_every_kind_are_those_of_the_table(world: World) -> None:
    """Lane, quiet hours, do-not-disturb, opt-out, expiry, on_unknown, silence and nudge: row by row."""
    rows = world.rows(
        "select purpose, lane, quiet_hours, do_not_disturb, opt_out,"
        " (extract(epoch from expires_after) / 3600)::float8 as expires_h, on_unknown,"
        " (extract(epoch from silence) / 86400)::integer as silence_d, nudge from messaging.purposes"
    )
    assert {row.pop("purpose"): Rules(**row) for row in rows} == TABLE


def test_every_hook_of_a_kind_is_a_function(world: World) -> None:
    """What a purpose names exists in schema messaging, with the right argument."""
    hooks = world.rows(
        "select h.name, h.argument from messaging.purposes as p cross join lateral (values"
        " (p.still_due, 'text'), (p.on_accepted, 'bigint'), (p.on_rejected, 'bigint')) as h (name, argument)"
        " where h.name is not null"
    )
    missing = [
        hook["name"]
        for hook in hooks
        if world.value("select to_regprocedure(%s)", f"messaging.{hook['name']}({hook['argument']})") is None
    ]
    assert missing == []


@pytest.mark.parametrize("purpose", TABLE)
def test_opt_out_stops_just_what_nobody_asked_for(world: World, bent_clock: BentClock, purpose: str) -> None:
    """Who opted out gets nothing proactive, now or later, and every answer to what they do."""
    bent_clock.move_to(DAY)
    before = waiting(world, purpose)
    world.value("select messaging.opt_out(null, messaging.phone_key('5511987650001'), 'sair')")
    after = world.enqueue(
        world.message(before)["instance_id"],
        purpose=purpose,
        phone="551187650001",
        profile_id=str(world.message(before)["profile_id"]),
    )
    stopped = TABLE[purpose].opt_out
    assert (world.state(before), world.message(before)["reason"]) == (
        ("withdrawn", "the person opted out") if stopped else ("queued", None)
    )
    assert verdict(world, after) == (("withdraw", "the person opted out") if stopped else ("go", None))
    assert chosen(world, purpose) is not stopped
    assert world.value("select messaging.opt_in(null, messaging.phone_key('5511987650001'))") is True
    assert verdict(world, after) == ("go", None)


@pytest.mark.parametrize("purpose", TABLE)
def test_do_not_disturb_and_a_human_hold_just_the_bulk(
    world: World, bent_clock: BentClock, purpose: str
) -> None:
    """While somebody wants peace, or one of us talks by hand, what we begin waits until that is over."""
    bent_clock.move_to(DAY)
    message = waiting(world, purpose)
    held = TABLE[purpose].do_not_disturb
    world.rows("update public.profiles set do_not_disturb_until = messaging.clock() + interval '4 h'")
    assert verdict(world, message) == (("wait", "do-not-disturb") if held else ("go", None))
    assert chosen(world, purpose) is not held
    bent_clock.forward(4 * 3600)
    assert verdict(world, message) == ("go", None)
    world.value("select messaging.take_over(null, messaging.phone_key('5511987650001'), 600)")
    assert verdict(world, message) == (("wait", "human takeover") if held else ("go", None))
    assert chosen(world, purpose) is not held
    bent_clock.forward(600)
    assert verdict(world, message) == ("go", None)


@pytest.mark.parametrize("purpose", TABLE)
def test_the_night_holds_just_what_nobody_booked(world: World, bent_clock: BentClock, purpose: str) -> None:
    """From 22 to 8 what is proactive waits for the morning; it is chosen then only if it lives that long."""
    bent_clock.move_to(NIGHT)
    message = waiting(world, purpose)
    rules = TABLE[purpose]
    assert verdict(world, message) == (("wait", "quiet hours") if rules.quiet_hours else ("go", None))
    assert chosen(world, purpose) is (not rules.quiet_hours or rules.expires_h > 9)


@pytest.mark.parametrize("purpose", TABLE)
def test_long_silence_ends_just_what_the_table_says(
    world: World, bent_clock: BentClock, purpose: str
) -> None:
    """Who has not written for seven days gets no report and no reminder of commitments; the rest goes on."""
    bent_clock.move_to(DAY)
    message = waiting(world, purpose)
    silent = TABLE[purpose].silence_d
    bent_clock.forward(-3600)
    world.rows("update public.profiles set last_user_message_at = messaging.clock() - interval '7 d'")
    world.rows("update public.profiles set last_message_date = null")
    assert verdict(world, message)[0] == "go"
    bent_clock.forward(1)
    assert verdict(world, message)[0] == ("withdraw" if silent else "go")
    assert chosen(world, purpose) is (silent is None)


def test_what_waits_beyond_its_end_expires_and_says_why(world: World, bent_clock: BentClock) -> None:
    """Do-not-disturb until after the expiry: it will never be right to send it."""
    bent_clock.move_to(DAY)
    message = waiting(world, "checkin")
    world.rows("update public.profiles set do_not_disturb_until = messaging.clock() + interval '3 days'")
    assert world.claim() == []
    assert world.state(message) == "expired"
    assert world.message(message)["reason"] == "its time is over before the do-not-disturb ends"


def test_a_rule_that_changes_between_claim_and_begin_is_heard(world: World, bent_clock: BentClock) -> None:
    """The last word is begin's: nothing leaves after the person has said stop."""
    bent_clock.move_to(DAY)
    message = waiting(world, "session_abandoned")
    [claimed] = world.claim()
    world.rows(
        "insert into messaging.opt_outs (phone_key, opted_out_at)"
        " values (messaging.phone_key('5511987650001'), messaging.clock())"
    )
    assert world.begin(claimed)["refusal"] == "the person opted out"
    assert world.state(message) == "withdrawn"


def test_an_opt_out_holds_for_all_numbers_of_the_tenant_and_no_other(
    world: World, bent_clock: BentClock
) -> None:
    """Who says stop to one number of the house is left alone by all of them; an agency is another house."""
    bent_clock.move_to(DAY)
    message = waiting(world, "content")
    other = world.enqueue(
        world.number(), purpose="content", phone="5511987650001",
        profile_id=str(world.message(message)["profile_id"]),
    )  # fmt: skip
    world.value("select messaging.opt_out(gen_random_uuid(), messaging.phone_key('5511987650001'), 'sair')")
    assert {world.state(message), world.state(other)} == {"queued"}
    assert verdict(world, message) == ("go", None)
    world.value("select messaging.opt_out(null, messaging.phone_key('5511987650001'), 'sair')")
    assert {world.state(message), world.state(other)} == {"withdrawn"}
