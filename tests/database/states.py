"""Messages brought to any state of dispatch_state, each on a number of its own.

Other messages that wait are claimed on the way where the state asks for a claim: make the queued ones last.
What is unknown, or holds a message back, bears the provider id "P" and its own id.
"""

from tests.database.world import World


def in_state(world: World, state: str, **fields: object) -> int:
    """A message in a state, brought there by the product's own functions."""
    number = world.number(gap=(0, 0))
    composed = {"compose": "nobody"} if state == "draft" else {}
    message = world.enqueue(number, **composed, **fields)
    if state == "expired":
        world.rows(
            "update messaging.outbox set created_at = created_at - interval '2 h',"
            " expires_at = created_at - interval '1 h' where id = %s",
            message,
        )
        world.value("select messaging.expire_due()")
    elif state == "withdrawn":
        world.cancel(message_id=message)
    elif state == "held":
        person = world.message(message)["phone"]
        blocker = world.enqueue(number, phone=person)
        world.rows(
            "update messaging.outbox set not_before = created_at - interval '1 s' where id = %s", blocker
        )
        world.record(world.begun(blocker), "unknown", p_provider_message_id=f"P{blocker}")
        world.claim(200)
    elif state == "leased":
        world.claim(200)
    elif state not in ("draft", "queued"):
        attempt = world.begun(message)
        if state == "unknown":
            world.record(attempt, state, p_provider_message_id=f"P{message}")
        elif state != "sending":
            world.record(attempt, state)
    assert world.state(message) == state
    return message
