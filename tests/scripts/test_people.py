"""The people of a CSV: what is read, and what is refused before anybody is posted."""

from pathlib import Path

import pytest

from scripts.people import SAMPLE, read_people
from shared import phones
from shared.errors import InvalidInput


def _file(folder: Path, content: str | bytes) -> Path:
    path = folder / "people.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InvalidInput) as refusal:
        read_people(_file(folder, content))
    return str(refusal.value)


def test_the_sample_is_sixty_invented_people() -> None:
    """Sixty different phones, valid in form and plainly counted up, with addresses at example.com."""
    people = read_people(SAMPLE)
    digits = [phones.normalize(person.phone) for person in people]

    assert len(people) == len(set(digits)) == 60
    assert all(each.startswith("55") and each[4:10] == "900000" for each in digits)
    assert all(person.email.endswith("@example.com") for person in people)


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    """What a spreadsheet exports is taken: a BOM, semicolons, capitals, blank lines, no e-mail."""
    text = (
        "\ufeffPhone;Plano;Name;EMAIL\n(11) 90000-0001;a;Ana Lima;ana@example.com\n;;;\n11900000002;b;Bia;\n"
    )
    people = read_people(_file(tmp_path, text))

    assert [(each.line, each.name, each.email) for each in people] == [
        (2, "Ana Lima", "ana@example.com"),
        (4, "Bia", ""),
    ]


def test_bad_rows_are_named_by_their_line_and_show_no_phone__refused(tmp_path: Path) -> None:
    """Every bad line is told with its reason before anybody is posted, without the person's data."""
    line = _refusal(
        tmp_path,
        "name,phone,email\nAna,11900000001,a@example.com\n,11900000002,b@example.com\n"
        "Caio,12345,c@example.com\nDiva,11900000004,nowhere\nEva,11900000005,e@example.com,more\n",
    )

    assert "line 3: no name" in line
    assert "line 4: phone is no telephone number" in line
    assert "line 5: email is no e-mail address" in line
    assert "line 6: more fields than columns" in line
    assert "line 2" not in line
    assert "12345" not in line


def test_many_bad_rows_are_counted__refused(tmp_path: Path) -> None:
    """A file of the wrong kind does not fill the screen."""
    line = _refusal(tmp_path, "name,phone,email\n" + "Ana,1,\n" * 50)

    assert "and 45 more" in line
    assert len(line) < 500


def test_missing_columns_are_named__refused(tmp_path: Path) -> None:
    """The columns that are not there are named."""
    assert "missing: phone, email" in _refusal(tmp_path, "name,telefone\nAna,1\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("name,phone,email\n", "names nobody"),
        ("", "missing: name, phone, email"),
        (b"name,phone,email\n\xff\xfe", "UTF-8"),
        ('name,phone,email\n"Ana,11900000001,\n', "line"),
    ],
)
def test_a_file_that_is_no_such_table_is_told_in_a_line__refused(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    """Empty, headless, in another encoding, with a quote that never ends."""
    assert reason in _refusal(tmp_path, content)


def test_a_file_that_is_not_there_is_told_in_a_line__refused(tmp_path: Path) -> None:
    """A path with a typo is no traceback."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_people(tmp_path / "none.csv")


def test_a_person_shows_nothing_of_himself_in_a_repr(tmp_path: Path) -> None:
    """Names, phones and addresses do not come into logs by accident."""
    [person] = read_people(_file(tmp_path, "name,phone,email\nAna,11900000001,a@example.com\n"))

    assert repr(person) == "Person(line=2)"
