"""recent_messages: what an agent may read of a person before it writes."""

import uuid

from tests.database.world import World


def test_lately_said_is_the_person_s_own_oldest_first(world: World) -> None:
    """The last so many since a moment, in the order in which they were said; nobody else's."""
    ana, rui = world.profile("5511987654321"), world.profile("5511987654322")
    for profile, minute, content in ((ana, 1, "um"), (ana, 3, "três"), (rui, 2, "de Rui"), (ana, 2, "dois")):
        world.rows(
            "insert into public.messages (user_id, role, content, created_at) select p.user_id, 'user', %s,"
            " timestamptz '2025-06-10 12:00-03' + make_interval(mins => %s)"
            " from public.profiles as p where p.id = %s",
            content, minute, profile,
        )  # fmt: skip
    read = "select content from messaging.recent_messages(%s, %s, %s)"
    said = [row["content"] for row in world.rows(read, ana, None, 50)]
    assert said == ["um", "dois", "três"]
    assert [row["content"] for row in world.rows(read, ana, None, 2)] == ["dois", "três"]
    since = "2025-06-10 12:02:00-03"
    assert [row["content"] for row in world.rows(read, ana, since, 50)] == ["dois", "três"]
    assert world.rows(read, uuid.uuid4(), None, 50) == []
    assert world.rows(read, None, None, 50) == []
