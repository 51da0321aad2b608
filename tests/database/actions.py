"""Every public SQL function that changes state, as an action with random but sensible arguments.

Made for sessions that collide on purpose: few numbers, few people, few keys. See test_deadlocks.py.
"""

import json
import random
from collections.abc import Callable

from tests.database import agency_actions
from tests.database.customers import checkout, subscription
from tests.database.world import Row, World

Action = Callable[[World, random.Random], object]
OUTCOMES = ["accepted", "accepted", "rejected", "not_sent", "unknown"]
# A kind of message whose acceptance changes a profile, as those of cron functions do, and that is always due.
REACTS = (
    "insert into messaging.purposes (purpose, lane, quiet_hours, expires_after, on_accepted, nudge)"
    " values ('reacts', 'timed', false, '1 hour', 'effect_reactivation', true)"
)
RECEIPTS = ["sent", "failed", "delivered", "read"]
STATUSES = ["active", "active", "paused", "banned", "disconnected"]

A_NUMBER = "(select id from public.whatsapp_instances order by random() limit 1)"
AN_UNKNOWN = "(select id from messaging.outbox order by dispatch_state = 'unknown' desc, random() limit 1)"
A_PERSON = "(select id from public.profiles order by random() limit 1)"


def phone(source: random.Random) -> str:
    """One of ten people, in one of both forms."""
    return source.choice(["55119", "5511"]) + f"9{source.randrange(10):07d}"


def seldom_again(source: random.Random) -> int:
    """A number for a key: mostly a new one, or soon nothing would happen any more; else one of a few."""
    return source.randrange(10**9) if source.random() < 0.8 else source.randrange(5)


def wanted(world: World, source: random.Random) -> Row:
    """A message on some number, of a few runs and callers; some, accepted, change a profile."""
    person = world.value(f"select {A_PERSON}")
    return world.wanted(
        world.value(f"select {A_NUMBER}"),
        phone=phone(source),
        purpose=source.choice(["answer", "welcome", "direct", "reacts"]),
        profile_id=person and str(person),
        dedupe_key=f"k{seldom_again(source)}",
        run_id=f"r{source.randrange(3)}",
        enqueued_by=f"function {source.randrange(3)}",
        **source.choice([{}, {}, {"compose": "somebody"}]),
    )


def enqueue_many(world: World, source: random.Random) -> object:
    """A list over several numbers, in no order."""
    return world.enqueue_many([wanted(world, source) for _ in range(source.randrange(1, 8))])


def finish_draft(world: World, source: random.Random) -> object:
    """Some draft, taken or not, with its token: composed, left as it was, or withdrawn."""
    return world.rows(
        "select f.* from (select id, compose_token from messaging.outbox where compose is not null"
        " order by dispatch_state = 'draft' desc, random() limit 1) as o,"
        " messaging.finish_draft(o.id, o.compose_token, 'w', %s, '{}', %s) as f",
        source.choice([None, "Composed"]),
        source.choice([None, None, "nothing to say"]),
    )


def begin(world: World, source: random.Random) -> object:
    """Some leased message with its token."""
    return world.rows(
        "select b.* from (select id, lease_token from messaging.outbox where dispatch_state = 'leased'"
        " order by random() limit 1) as o, messaging.begin_attempt(o.id, o.lease_token, 'w') as b"
    )


def record(world: World, source: random.Random) -> object:
    """Some attempt, open or ended, with any outcome; now and then the provider refuses the number."""
    return world.rows(
        "select r.* from (select id from messaging.attempts order by outcome is null desc, random() limit 1)"
        " as a, messaging.record_attempt(a.id, %s, 'P' || a.id, p_halt_reason => %s) as r",
        source.choice(OUTCOMES),
        source.choice([None, None, "token refused"]),
    )


def some_ids(world: World, source: random.Random) -> list[str]:
    """Provider ids, some of them ours, in no order."""
    newest = world.value("select coalesce(max(id), 0) from messaging.attempts")
    return [f"P{newest + source.randrange(-5, 3)}" for _ in range(source.randrange(1, 5))]


def apply_receipt(world: World, source: random.Random) -> object:
    """A receipt for an id of ours, or not yet; now and then it restricts the number."""
    return world.value(
        f"select messaging.apply_receipt({A_NUMBER}, %s, %s, p_error_class => %s)",
        some_ids(world, source)[0],
        source.choice(RECEIPTS),
        source.choice([None, None, "restriction"]),
    )


def accept_event(world: World, source: random.Random) -> object:
    """A person's message, by phone or LID, with or without an order; one typed by hand on the number;
    receipts for several ids at once; a number that comes and goes. A LID passes from phone to phone."""
    kind = source.choice(["message", "message", "delivery", "delivery", "connected", "disconnected"])
    by_hand = kind == "message" and source.random() < 0.2
    person = phone(source)
    lid = f"{source.randrange(3)}@lid"
    return world.rows(
        f"select * from messaging.accept_event({A_NUMBER}, %s, %s, '{{}}', p_phone => %s, p_text => 'Oi',"
        " p_receipt => %s, p_receipt_ids => %s, p_error_class => %s, p_debounce_s => 0, p_lid => %s,"
        " p_command => %s, p_ignored_reason => %s, p_takeover_s => %s, p_sent_by => %s)",
        f"e{seldom_again(source)}",
        kind,
        source.choice([person, person, lid]),
        source.choice(RECEIPTS) if kind == "delivery" else None,
        some_ids(world, source)[: 1 if by_hand else None],
        source.choice([None, None, "restriction"]),
        source.choice([None, lid]),
        source.choice([None, None, "stop", "start"]),
        "own_message" if by_hand else None,
        0.01 if by_hand else None,
        source.choice([None, "api", "hand"]) if by_hand or kind == "delivery" else None,
    )


def finish_turn(world: World, source: random.Random) -> object:
    """A turn taken and, as workers do, answered in a transaction of its own, with something for the app."""
    turns = world.rows("select * from messaging.claim_turn('w')")
    return [
        world.rows(
            "select * from messaging.finish_turn(%s, %s, %s, %s, %s, 'w', 0)",
            turn["person_key"],
            turn["lease_token"],
            turn["last_event_id"],
            json.dumps([{"text": "Oi"}, {"text": "Tudo bem?"}][: source.randrange(3)]),
            json.dumps(
                {"counts": True, "conversation": source.choice(["open", "closed"])}
                | source.choice([{}, {"do_not_disturb_h": 1}, {"limit_told": True}, {"command": "stop"}])
            ),
        )
        for turn in turns
    ]


def decide_unknown(world: World, source: random.Random) -> object:
    """Some unknown message, or one that is no more."""
    return world.rows(
        "select messaging.decide_unknown(o.id, %s, 'test') from (select id from messaging.outbox"
        " order by dispatch_state = 'unknown' desc, random() limit 1) as o",
        source.choice(["resend", "resend", "consider_sent", "drop"]),
    )


def note_traces(world: World, source: random.Random) -> object:
    """A provider's answer about some unknown: nothing, or what may be it."""
    traces = [
        {"provider_message_id": each, "sent_by": "api", "phone": phone(source), "text": "Oi"}
        for each in some_ids(world, source)
    ]
    return world.rows(
        "select messaging.note_traces(array(select id from messaging.attempts where outcome = 'unknown'"
        " order by random() limit 1), %s, %s)",
        source.choice(["provider_queue", "provider_search"]),
        json.dumps(source.choice([[], traces])),
    )


def cancel(world: World, source: random.Random) -> object:
    """A run, a function, a number or a message; now and then a preview."""
    what = source.choice(
        [
            f"p_run_id => 'r{source.randrange(3)}'",
            f"p_enqueued_by => 'function {source.randrange(3)}'",
            f"p_instance_id => {A_NUMBER}",
            "p_message_id => (select id from messaging.outbox order by random() limit 1)",
        ]
    )
    preview = source.random() < 0.2
    return world.rows(f"select * from messaging.cancel('test', 'a test', {preview}, {what})")


def _call(sql: str, *choices: list[object]) -> Action:
    """A call of one statement, each placeholder a random choice."""
    return lambda world, source: world.rows("select " + sql, *(source.choice(each) for each in choices))


def _some(function: str) -> Action:
    return _call(f"messaging.{function}")


def _returning(function: str, *choices: list[object]) -> Action:
    """A step of the return of some number, with its token, or with one that nobody has."""
    numbers = (
        " from (select instance_id, coalesce(return_token, gen_random_uuid()) as token from messaging.senders"
        " order by return_token is null, random() limit 1) as s"
    )
    return _call(f"messaging.{function.format('s.instance_id, s.token')}{numbers}", *choices)


BOOLEAN: list[object] = [True, False]
FUNCTIONS: dict[str, Action] = {
    "allocate_whatsapp_instance": lambda w, s: w.rows(
        f"select public.allocate_whatsapp_instance(p.id, %s) from {A_PERSON} as p",
        s.choice(["random", "balanced"]),
    ),
    "sign_up": lambda w, s: w.sign_up(phone(s)),
    "sign_up_within_limits": lambda w, s: w.rows(
        "select * from messaging.sign_up_within_limits("
        "'Ana', %s, null, 'Oi!', 'start-trial', %s, 99, 9999, 100)",
        phone(s),
        s.choice(["a", "b", None]),
    ),
    "apply_checkout": lambda w, s: checkout(
        w,
        s.randrange(9),
        event_id=f"evt_c{seldom_again(s)}",
        checkout_id=f"cs_{seldom_again(s)}",
        subscription_id=f"sub_{s.randrange(20)}",
        customer_id=f"cus_{s.randrange(20)}",
        phone=phone(s),
        payment=s.choice(["paid", "paid", "unpaid", "failed"]),
    ),
    "apply_subscription": lambda w, s: subscription(
        w,
        s.choice(["ended", "resumed", "unpaid", "active"]),
        s.randrange(9),
        event_id=f"evt_s{seldom_again(s)}",
        subscription_id=f"sub_{s.randrange(20)}",
        customer_id=f"cus_{s.randrange(20)}",
        phone=s.choice([None, phone(s)]),
    ),
    "enqueue": lambda w, s: w.enqueue(**wanted(w, s)),
    "enqueue_many": enqueue_many,
    "claim": lambda w, s: w.claim(s.randrange(1, 17)),
    "begin_attempt": begin,
    "record_attempt": record,
    "apply_receipt": apply_receipt,
    "decide_unknown": decide_unknown,
    "gather_evidence": _some(f"gather_evidence({AN_UNKNOWN})"),
    "note_traces": note_traces,
    "note_withdrawn": _some("note_withdrawn((select max(id) from messaging.attempts))"),
    "presume": _some(f"presume({AN_UNKNOWN})"),
    "take_unknowns": _call("messaging.take_unknowns(%s, 0, 3)", BOOLEAN),
    "tell_unknowns": _some("tell_unknowns(3)"),
    "accept_event": accept_event,
    "claim_turn": _some("claim_turn('w', 0)"),
    "finish_turn": finish_turn,
    "cancel": cancel,
    "expire_due": _some("expire_due(5)"),
    "retry_effects": _some("retry_effects(5)"),
    "halt_instance": _call(
        f"messaging.halt_instance({A_NUMBER}, %s, 'w')", ["disconnected", "token refused"]
    ),
    "set_instance_status": _call(f"messaging.set_instance_status({A_NUMBER}, %s, 'test')", [*STATUSES]),
    "set_accepts_new": _call(f"messaging.set_accepts_new({A_NUMBER}, %s, 'test')", BOOLEAN),
    "set_seats": _call(f"messaging.set_seats({A_NUMBER}, %s, 'test')", [5, 50]),
    "set_gaps": _call(f"messaging.set_gaps({A_NUMBER}, 0, %s::numeric, 'test')", [0, 0.01]),
    "set_default_instance": _some(f"set_default_instance({A_NUMBER}, 'test')"),
    "set_webhook_token": _some(f"set_webhook_token({A_NUMBER}, sha256(random()::text::bytea), 'test')"),
    "begin_webhook_rotation": _some(
        f"begin_webhook_rotation({A_NUMBER}, sha256(random()::text::bytea), 'test')"
    ),
    "end_webhook_rotation": _some(
        "end_webhook_rotation(a.instance_id, a.token_hash, 'test') from"
        " (select * from messaging.webhook_attempts order by random() limit 1) as a"
    ),
    "revoke_previous_webhook_token": _some(f"revoke_previous_webhook_token({A_NUMBER}, 'test')"),
    "set_phone_number": _some(f"set_phone_number({A_NUMBER}, '5511999999999', 'test')"),
    "add_instance": lambda w, s: w.value(
        "select messaging.add_instance(%s, %s, 't', 'c', 'test')", f"n{s.randrange(6)}", f"I{s.randrange(6)}"
    ),
    "import_env_instance": lambda w, s: w.rows(
        "select * from messaging.import_env_instance(%s, %s, 'c', 'test')",
        f"E{s.randrange(2)}",
        f"t{s.random()}",
    ),
    "exchange_credentials": lambda w, s: w.rows(
        "select messaging.exchange_credentials('public.whatsapp_instances', 'zapi_token', (select jsonb_agg("
        "jsonb_build_object('row_key', i.id, 'stored', i.zapi_token, 'sealed', %s::text) order by random())"
        " from public.whatsapp_instances as i where i.zapi_token is not null))",
        f"enc:v1:k{s.randrange(3)}:{s.randrange(10**9)}",
    ),
    "link_profiles": _some(f"link_profiles({A_NUMBER}, 5)"),
    "take_health_checks": _some("take_health_checks(0, 2)"),
    "record_health": _call(f"messaging.record_health({A_NUMBER}, %s)", [True, False, None]),
    "take_returns": _some("take_returns(2, 0)"),
    "note_queue": _returning('note_queue({}, \'[{{"message_id": "P1"}}, {{"message_id": "P2"}}]\')'),
    "finish_return": _returning("finish_return({}, 0, %s)", [None, None, "unreachable"]),
    "pause_all": _some("pause_all('test')"),
    "resume_all": _some("resume_all('test')"),
    "wake_forgotten": _some("wake_forgotten()"),
    "take_drafts": _some("take_drafts('w', 3, 0)"),
    "finish_draft": finish_draft,
    "see_schedules": _some("see_schedules(array['f1', 'f2'])"),
    "take_run": _some("take_run('f1', date_trunc('minute', messaging.clock()), 'w', 1)"),
    "finish_run": _some("finish_run('f1', date_trunc('minute', messaging.clock()), gen_random_uuid())"),
    "forget": _call("messaging.forget(%s, 1, 20)", ["texts", "event_texts", "raw_events"]),
    "forget_buckets": _some("forget_buckets(20)"),
    "erase_messages": lambda w, s: w.rows("select * from messaging.erase_messages(%s, 'test')", phone(s)),
    "erase_profile": lambda w, s: w.rows("select messaging.erase_profile(%s, 1)", phone(s)),
    "close_sessions": _some("close_sessions('closed', 'closed')"),
    **agency_actions.FUNCTIONS,
}

SOME_PEOPLE = "id in (select id from public.profiles order by random() limit 6)"
APP: dict[str, Action] = {
    "app inserts people": lambda w, s: w.rows(
        "insert into public.profiles (user_id, phone, whatsapp_instance_id)"
        f" select gen_random_uuid(), %s || g, {A_NUMBER} from generate_series(1, 5) as g",
        f"1{s.randrange(10**9)}",
    ),
    "app moves people": lambda w, s: w.rows(
        f"with these as (select id from public.profiles where {SOME_PEOPLE} order by id for no key update)"
        f" update public.profiles as p set whatsapp_instance_id = {A_NUMBER} from these where these.id = p.id"
    ),
    "app deletes people": lambda w, s: w.rows(
        f"with these as (select id from public.profiles where {SOME_PEOPLE} order by id for update)"
        " delete from public.profiles as p using these where these.id = p.id"
    ),
    "app changes a status": lambda w, s: w.rows(
        f"update public.whatsapp_instances set status = %s where id = {A_NUMBER}", s.choice(STATUSES)
    ),
}
ACTIONS = FUNCTIONS | agency_actions.MANAGERS | APP | agency_actions.APP
