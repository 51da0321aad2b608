"""Lists that are enqueued side by side do not wait for each other."""

from uuid import UUID, uuid4

from edge import due


def person(number: UUID | None) -> due.Person:
    """Somebody on that number."""
    return due.Person(uuid4(), "5511987650001", "Ana", "checkin", None, None, {}, number)


def test_a_number_stands_in_one_lane_in_its_order_and_both_lanes_work() -> None:
    """Each list holds its numbers' senders; the order within a number is that of the audience."""
    numbers = [None, *(uuid4() for _ in range(9))]
    people = [person(numbers[turn * turn % 10]) for turn in range(3000)]

    lanes = due._lanes(people)

    assert sum(map(len, lanes)) == 3000
    assert min(map(len, lanes)) > 500
    held = [{somebody.instance_id for somebody in lane} for lane in lanes]
    assert not held[0] & held[1]
    for lane in lanes:
        for number in {somebody.instance_id for somebody in lane}:
            assert [x for x in lane if x.instance_id == number] == [
                x for x in people if x.instance_id == number
            ]


def test_what_fits_into_one_list_is_enqueued_all_or_none() -> None:
    """A small run is one transaction, as it always was; nobody at all is a run too."""
    few = [person(uuid4()) for _ in range(1000)]
    assert due._lanes(few) == [few]
    assert due._lanes([]) == [[]]
