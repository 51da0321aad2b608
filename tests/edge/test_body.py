"""Bodies below HTTP: what other WSGI servers may hand over, and that no input makes the bounds slow."""

import gzip
import io
import json
import re
import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.body import (
    MAX_BYTES,
    MAX_MEMBERS,
    BodyRefused,
    decoded,
    parse_lenient,
    parse_strict,
    raw_body,
    refuse_deep,
)
from shared.errors import InvalidInput

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


def environment(data: bytes, **more: Any) -> dict[str, Any]:
    """What a WSGI server hands over with these bytes."""
    return {"wsgi.input": io.BytesIO(data)} | more


def test_body_without_length_is_read_only_where_the_server_ends_it() -> None:
    """Reading on would wait for ever at a server that leaves the connection open."""
    assert raw_body(environment(b"{}")) == b""
    assert raw_body(environment(b"{}", **{"wsgi.input_terminated": True})) == b"{}"


def test_endless_body_is_read_no_further_than_the_bound() -> None:
    """The bound holds where nobody says how long the body is."""
    stream = io.BytesIO(b"x" * (MAX_BYTES + 100))
    with pytest.raises(BodyRefused) as refused:
        raw_body({"wsgi.input": stream, "wsgi.input_terminated": True})
    assert refused.value.http_status == 413 and stream.tell() == MAX_BYTES + 1


@pytest.mark.parametrize(
    ("said", "status"),
    [("3", 400), ("-1", 400), ("1e3", 400), ("²", 400), ("9" * 5000, 413), (str(MAX_BYTES + 1), 413)],
)
def test_length_that_is_none_or_lies_is_refused(said: str, status: int) -> None:
    """Whatever the server let through, the body guard does not believe it."""
    with pytest.raises(BodyRefused) as refused:
        raw_body(environment(b"{}", CONTENT_LENGTH=said))
    assert refused.value.http_status == status


def test_only_the_said_length_is_read() -> None:
    """What follows belongs to the next request."""
    assert raw_body(environment(b"{}GET / HTTP", CONTENT_LENGTH="2")) == b"{}"
    assert raw_body(environment(b"rest", CONTENT_LENGTH="")) == b""


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_gzip_comes_out_as_it_went_in(data: bytes, cut: int) -> None:
    """One member or two, with padding: the same bytes."""
    packed = gzip.compress(data[:cut]) + gzip.compress(data[cut:]) + b"\0" * 3
    assert decoded(packed, " GZip ") == data


def test_gzip_of_more_members_than_anybody_sends_is_refused() -> None:
    """Each member copies what follows it: sixteen are read, of a seventeenth nothing is, empty or not."""
    assert decoded(gzip.compress(b"a") * 16 + b"\0", "gzip") == b"a" * 16
    for member in (b"a", b""):
        with pytest.raises(BodyRefused) as refused:
            decoded(gzip.compress(member) * 17, "gzip")
        assert refused.value.http_status == 400 and "gzip" in str(refused.value)


def test_a_megabyte_of_empty_gzip_members_is_left_after_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 bytes are a member: 52,428 of them cost no more than the bound."""
    begun, member, empty = [], zlib.decompressobj, gzip.compress(b"")

    def counted(wbits: int) -> object:
        begun.append(wbits)
        return member(wbits)

    monkeypatch.setattr(zlib, "decompressobj", counted)
    with pytest.raises(BodyRefused):
        decoded(empty * (MAX_BYTES // len(empty)), "gzip")
    assert len(begun) == MAX_MEMBERS


@pytest.mark.parametrize(
    "evil",
    [
        b'"' + b'\\"' * 500_000,
        b'"\\' * 500_000,
        b'["' * 60 + b'"' * 900_000,
        b"[]" * 500_000,
        b'{"a":"' + b"\\\\" * 500_000,
        b"[" * 64 + b'"[[[[" ' * 200_000,
    ],
)
def test_depth_is_measured_in_linear_time(evil: bytes) -> None:
    """A megabyte of quotes and backslashes costs a moment, not a minute."""
    begun = time.monotonic()
    refuse_deep(evil[:MAX_BYTES])
    assert time.monotonic() - begun < 5


@given(JSON, st.integers(0, 64))
def test_depth_counts_brackets_outside_strings_only(value: object, levels: int) -> None:
    """Texts may hold as many brackets as they like."""
    text = json.dumps(json.dumps(value) + '["{\\' * 70)
    refuse_deep(("[" * levels + text + "]" * levels).encode())
    with pytest.raises(BodyRefused):
        refuse_deep(("[" * 65 + text + "]" * 65).encode())


@pytest.mark.slow
@settings(max_examples=50)
@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), JSON))
def test_what_is_clean_is_read_alike_by_both_parsers(value: dict[str, object]) -> None:
    """Strict and lenient differ in what they refuse, not in what they read."""
    data = json.dumps(value).encode()
    lenient = parse_lenient(data)
    assert lenient == value
    try:
        assert parse_strict(data) == value
    except InvalidInput as refused:
        assert "NUL" in str(refused)
        assert re.search(r"\\u(0000|d[89a-f])", data.decode())
