"""Whether the draw is uniform: chi-square over many draws with a fixed seed, and a bad draw that fails it."""

import math
from collections import Counter

import pytest

from tests.database.world import World

# Thousands of draws and rows: what is updated that often wants to be cleaned up.
pytestmark = pytest.mark.own_database
SEED = "select setseed(0.2024)"
DRAWS = "select messaging.draw_instance('random')::text as drawn from generate_series(1, %s)"


def chi_square_p(observed: list[int]) -> float:
    """The chance that a uniform draw looks at least as uneven as these counts."""
    expected = sum(observed) / len(observed)
    statistic = sum((count - expected) ** 2 / expected for count in observed)
    return upper_gamma((len(observed) - 1) / 2, statistic / 2)


def upper_gamma(a: float, x: float) -> float:
    """The regularized upper incomplete gamma function Q(a, x): series below a + 1, continued fraction
    above."""
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, 10_000):
            term *= x / (a + n)
            total += term
            if term < total * 1e-15:
                break
        return 1 - front * total
    fraction = 0.0
    for n in range(200, 0, -1):  # Legendre's fraction, from its far end
        fraction = n * (n - a) / (x + 2 * n + 1 - a - fraction)
    return front / (x + 1 - a - fraction)


def drawn(world: World, draws: int) -> Counter[str]:
    """So many draws with the fixed seed, counted per number."""
    world.rows(SEED)
    return Counter(row["drawn"] for row in world.rows(DRAWS, draws))


def test_the_p_value_is_right() -> None:
    """Critical values of chi-square tables: 19 degrees of freedom, 4 and 1."""
    table = [(19, 30.144, 0.05), (19, 43.820, 0.001), (4, 18.467, 0.001), (4, 9.488, 0.05), (1, 0.455, 0.5)]
    for freedom, statistic, p in table:
        assert abs(upper_gamma(freedom / 2, statistic / 2) - p) < 0.0005 * max(1, 200 * p)


@pytest.mark.scoreboard("R8", tier="commit")
def test_20000_draws_over_20_numbers_are_uniform(world: World) -> None:
    """With ample seats every number is as likely as every other: p > 0.001."""
    numbers = [world.number(seats=100_000) for _ in range(20)]
    counts = drawn(world, 20_000)
    assert set(counts) == {str(number) for number in numbers}
    assert chi_square_p(list(counts.values())) > 0.001


def test_5000_draws_are_uniform_over_the_5_numbers_with_room(world: World) -> None:
    """15 of 20 are full, paused, banned or closed: the others share evenly, wherever their slots lie."""
    numbers = [world.number(seats=100_000) for _ in range(20)]
    away = ["status = 'paused'", "max_users = 0", "status = 'banned'", "accepts_new = false"]
    for n, number in enumerate(numbers):
        if n not in (0, 1, 9, 17, 19):
            world.rows(f"update public.whatsapp_instances set {away[n % 4]} where id = %s", number)
    counts = drawn(world, 5000)
    assert set(counts) == {str(numbers[n]) for n in (0, 1, 9, 17, 19)}
    assert chi_square_p(list(counts.values())) > 0.001


def test_the_last_resort_is_uniform_too(world: World) -> None:
    """Two numbers with room among 2,000: mostly found by looking at all, and as evenly as by the slots."""
    world.rows(
        "insert into public.whatsapp_instances (name, provider, evolution_instance_name, max_users)"
        " select 'full ' || g, 'evolution', 'full ' || g, 0 from generate_series(1, 1998) as g"
    )
    numbers = [world.number(seats=100_000) for _ in range(2)]
    counts = drawn(world, 200)
    assert set(counts) == {str(number) for number in numbers}
    assert chi_square_p(list(counts.values())) > 0.001


PLANTED = {
    "the least id first": "order by i.id limit 1",
    "the fewest people first": "order by i.current_users, i.name limit 1",
    "random() evaluated per row": "and random() < 0.2 order by i.name limit 1",
}


def test_planted_bad_draws_are_caught(world: World) -> None:
    """The check is able to fail: draws that look busy but are not uniform come out with p below 0.001."""
    numbers = [world.number(seats=100_000) for _ in range(20)]
    for name, body in PLANTED.items():
        world.rows(
            "create or replace function messaging.draw_instance(p_strategy text) returns uuid language sql"
            " volatile as $$ select i.id from public.whatsapp_instances as i"
            f" where messaging.has_room(i) {body} $$"
        )
        counts = drawn(world, 5000)
        assert chi_square_p([counts[str(number)] for number in numbers]) < 0.001, name
