"""The embedded server's own key: made once, for its owner alone, and never in the way of a given one."""

from pathlib import Path

from scripts.own_keys import FILE, ring_of
from shared.credentials import of_instance, parse
from tests.keys import KEYS, RING

PLACE = of_instance("number", "zapi_token")


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """The second start opens what the first one sealed."""
    first = ring_of(tmp_path, None)

    assert ring_of(tmp_path, None) == first
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert parse(first).seal("x", PLACE)
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_a_given_key_seals_and_the_own_one_still_opens(tmp_path: Path) -> None:
    """Who sets the variable later loses nothing; who sets it to the file's own key gets it once."""
    own = ring_of(tmp_path, None)
    both = parse(ring_of(tmp_path, KEYS))

    assert both.key_ids == ("of-the-tests", *parse(own).key_ids)
    assert both.open(parse(own).seal("x", PLACE), PLACE) == both.open(RING.seal("x", PLACE), PLACE) == "x"
    assert ring_of(tmp_path, own) == own
