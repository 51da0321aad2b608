"""What happens around the end of a connection: what is enqueued, sent or asked in that very moment, and who
may begin again."""

import uuid

import pytest

from tests.database.agency_actions import AGENCY, CLIENTS, found_agency
from tests.database.conftest import Worlds
from tests.database.sessions import Waiting
from tests.database.test_pairing import ask_as, begin, connection, opened
from tests.database.world import Claimed, World

ON_PURPOSE = "the number was disconnected on purpose"


@pytest.fixture
def agency(world: World) -> World:
    """A manager with three clients asks."""
    found_agency(world)
    ask_as(world, AGENCY)
    return world


def end(world: World, client: uuid.UUID | None = CLIENTS[0]) -> None:
    """The manager disconnects."""
    world.rows("select * from messaging.end_connection(%s)", client)


def opened_again(world: World, client: uuid.UUID | None = CLIENTS[0]) -> uuid.UUID:
    """The provider's side is removed, and the phone scans anew."""
    world.rows("select messaging.orphan_removed(instance_id) from messaging.pairings")
    return opened(world, client)


def lead_away(world: World) -> uuid.UUID:
    """Another manager, whose client it now is, by the app's own hand."""
    other = uuid.uuid4()
    world.rows("insert into public.user_roles (user_id, role) values (%s, 'manager')", other)
    world.rows(
        "update public.client_manager_links set manager_id = %s where client_user_id = %s", other, CLIENTS[0]
    )
    return other


def test_what_is_enqueued_a_moment_too_late_is_withdrawn(agency: World) -> None:
    """Who speaks was chosen, the connection ended, the report comes: it neither waits nor leaves by the next
    pairing."""
    number = opened(agency)
    end(agency)
    late = agency.enqueue(number, purpose="agency_report", subject_id=str(CLIENTS[0]))
    assert (agency.state(late), agency.message(late)["reason"]) == ("withdrawn", ON_PURPOSE)
    assert opened_again(agency) == number
    assert agency.claim() == []
    assert agency.state(agency.enqueue(number, purpose="agency_message")) == "queued"


@pytest.mark.parametrize("status", ["active", "disconnected"])
def test_ending_waits_for_who_just_enqueues(agency: World, another: Worlds, status: str) -> None:
    """Two sessions: what the first has not committed yet is withdrawn by the second, whatever the number's
    health."""
    number = opened(agency)
    agency.rows("select messaging.record_health(%s, %s)", number, status == "active")
    enqueuing, ending = another(), another()
    ask_as(ending, AGENCY)
    with enqueuing.connection.transaction():
        message = enqueuing.enqueue(number, purpose="agency_message")
        waiting = Waiting(ending, agency, lambda: end(ending))
        assert waiting.is_waiting
    waiting.result()
    assert agency.state(message) == "withdrawn"


def test_what_comes_back_unsent_leaves_by_no_later_pairing(agency: World) -> None:
    """In flight when the connection ended, and not sent: it was for the number as it was."""
    number = opened(agency)
    attempt = agency.begun(agency.enqueue(number, purpose="agency_message"))
    end(agency)
    answer = agency.record(attempt, "not_sent")
    assert opened_again(agency) == number
    agency.prepare_returns()
    agency.rows("update messaging.senders set next_send_at = 'epoch', ready_at = 'epoch'")
    assert agency.claim() == []
    message = agency.message(answer["message_id"])
    assert (message["dispatch_state"], message["reason"]) == ("withdrawn", ON_PURPOSE)


def test_a_client_that_goes_to_another_manager_is_connected_anew(agency: World) -> None:
    """The link moves, past our functions: neither manager could end the old connection, so it ends by itself,
    and nothing that the first agency had to say to it leaves any more."""
    number = opened(agency)
    agencys = opened(agency, None)
    waiting = [
        agency.enqueue(
            each, purpose="agency_report", subject_id=str(client), facts={"client_id": str(client)}
        )
        for each, client in ((number, CLIENTS[0]), (agencys, CLIENTS[0]), (agencys, CLIENTS[1]))
    ]
    other = lead_away(agency)
    assert agency.instance(number)["status"] == "disconnected"
    assert [agency.state(message) for message in waiting] == ["withdrawn", "withdrawn", "queued"]
    ask_as(agency, other)
    assert opened_again(agency) == number
    assert agency.instance(number)["agency_id"] == other


def test_who_is_led_away_meanwhile_is_not_connected(agency: World, another: Worlds) -> None:
    """Two sessions: begin waits for the link's move, and then it is nobody's client any more."""
    moving, beginning = another(), another()
    ask_as(beginning, AGENCY)
    with moving.connection.transaction():
        lead_away(moving)
        waiting = Waiting(beginning, agency, lambda: begin(beginning))
        assert waiting.is_waiting
    with pytest.raises(Exception, match="there is no such client"):
        waiting.result()


@pytest.mark.parametrize("status", ["paused", "banned"])
def test_ending_and_beginning_is_no_way_round_the_operator(agency: World, status: str) -> None:
    """A number that he took out of service is not paired again, by whatever route."""
    number = opened(agency)
    agency.set_status(number, status)
    assert agency.refusal("select * from messaging.begin_connection(%s)", CLIENTS[0]) == "WP004"
    end(agency)
    assert agency.refusal("select * from messaging.begin_connection(%s)", CLIENTS[0]) == "WP004"
    assert agency.instance(number)["status"] == status


def test_what_an_earlier_connection_left_at_the_provider_opens_nothing(agency: World) -> None:
    """Begun again before it was removed: that it calls itself open is the old phone's doing."""
    number = opened(agency)
    end(agency)
    assert begin(agency) == number
    assert agency.value("select messaging.record_health(%s, true)", number) == "disconnected"
    assert connection(agency)["first_connected_at"] is None
    agency.value("select messaging.orphan_removed(%s)", number)
    assert agency.value("select messaging.record_health(%s, true)", number) == "active"


def test_ending_counts_and_withdraws_exactly_what_waited(agency: World) -> None:
    """Queued, leased, held and drafted go; what was sent stays as it is."""
    number = opened(agency)
    sent = agency.begun(agency.enqueue(number, purpose="agency_message"))
    agency.record(sent)
    agency.rows("update messaging.senders set next_send_at = 'epoch', ready_at = 'epoch'")
    for purpose in ("agency_message", "agency_report", "balance_alert"):
        agency.enqueue(number, purpose=purpose, subject_id=str(CLIENTS[0]))
    taken: Claimed = agency.claim()[0]
    told = agency.rows("select * from messaging.end_connection(%s)", CLIENTS[0])[0]
    assert told["withdrawn"] == 3
    assert agency.begin(taken)["refusal"] == "the lease is no longer held"
    states = agency.rows("select dispatch_state, count(*) as n from messaging.outbox group by 1 order by 1")
    assert [tuple(row.values()) for row in states] == [("accepted", 1), ("withdrawn", 3)]
