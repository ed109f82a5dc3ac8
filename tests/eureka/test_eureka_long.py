"""Long lists, cut into pieces: the same as if they had been parsed in one go."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.eureka import long
from resilient.eureka.fields import Standing, tree
from resilient.eureka.json import (
    Page,
    read_applications,
    write_application,
    write_applications,
    write_instance,
)
from resilient.eureka.long import read_long
from resilient.model import Instance

MOST = 10_000_000
#: What would be cut at, were it not inside of a text.
WILY = '"]},{"name":"},{"instanceId":"'


def document(*sizes: int, text: str = "") -> bytes:
    """Applications of so many instances, as our server writes them."""
    made = []
    for number, size in enumerate(sizes):
        instances = [
            Instance(service=f"s{number}", id=f"{number}-{at}", host="h", port=at, metadata={"text": text})
            for at in range(size)
        ]
        fragments = [write_instance(tree(one, Standing())) for one in instances]
        made.append(write_application(f"S{number}", fragments))
    return write_applications("7", "UP_1_", made)


@pytest.fixture(params=[64, 1000, 100_000])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(long, "STEP", request.param)
    return int(request.param)


def parsed_whole(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a list is parsed in one go after all, from now on."""
    seen: list[int] = []

    def read(body: bytes) -> Page:
        seen.append(len(body))
        return read_applications(body)

    monkeypatch.setattr(long, "read_applications", read)
    return seen


@pytest.mark.parametrize("sizes", [(), (1,), (3, 1, 40), (200,)])
@pytest.mark.parametrize("text", ["", WILY])
def test_in_pieces_or_in_one_go_it_says_the_same(
    step: int, sizes: tuple[int, ...], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = document(*sizes, text=text)
    whole = parsed_whole(monkeypatch)
    assert read_long(gzip.compress(body), "gzip", most=MOST) == read_applications(body)
    assert not whole
    assert read_long(body, most=MOST) == read_applications(body)


def test_no_piece_is_much_longer_than_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "STEP", 2000)
    longest = 0
    parse = long.parse

    def watched(body: bytes, limits: long.READING.__class__) -> object:  # type: ignore[name-defined]
        nonlocal longest
        longest = max(longest, len(body))
        return parse(body, limits)

    monkeypatch.setattr(long, "parse", watched)
    body = document(5, 300, 5, 5)
    assert len(read_long(body, most=MOST).entries) == 315
    assert longest < 4 * 2000 < len(body)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root["applications"].update(
            application=root["applications"].pop("application"), more=[]
        ),
        lambda root: root["applications"]["application"][0].update(name="S0", last=1),
        lambda root: root.update(more=[{}]),
    ],
    ids=["behind", "inside", "beside"],
)
def test_what_is_written_otherwise_is_parsed_as_a_whole(change, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "STEP", 500)
    root = json.loads(document(20, 20))
    change(root)
    for body in (json.dumps(root).encode(), json.dumps(root, separators=(",", ":")).encode()):
        assert read_long(body, most=MOST) == read_applications(body)
        assert len(read_long(body, most=MOST).entries) == 40


@settings(max_examples=150)
@given(st.integers(0, 10_000), st.binary(max_size=3), st.sampled_from([100, 700, 1 << 18]))
def test_damage_is_the_same_error_or_the_same_list(place: int, put: bytes, step: int) -> None:
    body = document(4, 9)
    place %= len(body)
    body = body[:place] + put + body[place + 2 :]
    before, long.STEP = long.STEP, step
    try:
        try:
            wanted: object = read_applications(body)
        except WireError as error:
            wanted = str(error)
        try:
            found: object = read_long(body, most=MOST)
        except WireError as error:
            found = str(error)
    finally:
        long.STEP = before
    assert found == wanted


def test_packing() -> None:
    body = document(3)
    whole = read_applications(body)
    half = len(body) // 2
    assert read_long(zlib.compress(body), "deflate", most=MOST) == whole
    assert read_long(body, " Identity", most=MOST) == whole
    assert read_long(gzip.compress(body[:half]) + gzip.compress(body[half:]), "x-gzip", most=MOST) == whole
    with pytest.raises(WireError, match="encoding"):
        read_long(body, "br", most=MOST)
    with pytest.raises(WireError, match="cut short"):
        read_long(gzip.compress(body)[:-9], "gzip", most=MOST)
    with pytest.raises(WireError, match="unpacked"):
        read_long(body, "gzip", most=MOST)


def test_it_ends_where_it_grows_too_large() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    with pytest.raises(WireError, match="larger than 1000000 bytes"):
        read_long(bomb, "gzip", most=1_000_000)
    with pytest.raises(WireError, match="larger than"):
        read_long(document(3000), most=100_000)
