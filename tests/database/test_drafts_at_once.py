"""Drafts under several sessions at once: each is taken by one, finished by one, and a cancel is a cancel."""

from tests.database.conftest import Worlds
from tests.database.drafts import draft, finish, take, take_one, text_of
from tests.database.sessions import Waiting, all_at_once
from tests.database.world import Connect, World


def test_many_workers_take_each_draft_once(world: World, connect: Connect) -> None:
    """Eight sessions that ask at the same time share forty drafts without one of them going to two."""
    number = world.number()
    messages = [draft(world, number) for _ in range(40)]

    def act(session: World, index: int) -> list[int]:
        taken = []
        while rows := take(session, 3, worker=f"w{index}"):
            taken += [row["message_id"] for row in rows]
        return taken

    taken = all_at_once([connect() for _ in range(8)], act)
    assert sorted(message for each in taken for message in each) == messages


def test_two_workers_that_finish_the_same_draft_at_once(world: World, connect: Connect) -> None:
    """Exactly one of them counts, and its text stands."""
    number = world.number()
    for _ in range(10):
        message = draft(world, number)
        taken = take_one(world, message)
        texts = [f"Do número {index}" for index in range(4)]
        won = all_at_once(
            [connect() for _ in range(4)],
            lambda session, index, taken=taken, texts=texts: finish(session, taken, texts[index]),  # type: ignore[misc]
        )
        assert sorted(won) == [False, False, False, True]
        assert text_of(world, message) == texts[won.index(True)]


def test_a_cancel_that_came_first_wins(world: World, another: Worlds) -> None:
    """The worker waits for the cancel's lock, and then finds no draft."""
    message = draft(world, world.number(), run_id="r")
    taken = take_one(world, message)
    canceller, worker = another(), another()
    with canceller.connection.transaction():
        canceller.cancel(run_id="r")
        finishing = Waiting(worker, world, lambda: finish(worker, taken, "Tarde"))
        assert finishing.is_waiting
    assert finishing.result() is False
    assert world.state(message) == "withdrawn"


def test_a_cancel_that_came_second_still_stops_it(world: World, another: Worlds) -> None:
    """Composed in the same moment, and withdrawn from the queue."""
    message = draft(world, world.number(), run_id="r")
    taken = take_one(world, message)
    canceller, worker = another(), another()
    with worker.connection.transaction():
        assert finish(worker, taken, "Pronto")
        cancelling = Waiting(canceller, world, lambda: canceller.cancel(run_id="r"))
        assert cancelling.is_waiting
    assert [row["messages"] for row in cancelling.result()] == [1]
    assert world.state(message) == "withdrawn"


def test_a_taker_waits_for_nobody(world: World, another: Worlds) -> None:
    """A draft that somebody else has locked is passed over, and the next one taken."""
    number = world.number()
    locked, free = draft(world, number), draft(world, number)
    other = another()
    with other.connection.transaction():
        other.rows("select from messaging.outbox where id = %s for no key update", locked)
        assert [row["message_id"] for row in take(world)] == [free]
    assert [row["message_id"] for row in take(world)] == [locked]
