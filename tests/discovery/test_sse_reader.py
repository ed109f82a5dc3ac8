import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient.discovery.sse_reader import Frame, SseReader
from resilient.errors import WireError

text = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=20)
name = st.text("abcdefgh", min_size=1, max_size=8)
frames = st.lists(
    st.tuples(name, st.lists(text, min_size=1, max_size=3), st.none() | st.text("0123456789-", max_size=8)),
    max_size=6,
)
BREAKS = st.sampled_from([b"\n", b"\r", b"\r\n"])


def written(listed: list[tuple[str, list[str], str | None]], end: bytes) -> bytes:
    out = b""
    for name, lines, id in listed:
        fields = [f"event: {name}", *(f"data: {line}" for line in lines), ": a word for nobody"]
        if id is not None:
            fields.insert(0, f"id: {id}")
        out += end.join(field.encode() for field in fields) + end + end
    return out


@given(frames, BREAKS, st.lists(st.integers(1, 30), min_size=1), st.booleans())
def test_events_come_out_whatever_the_pieces_they_come_in(
    listed: list[tuple[str, list[str], str | None]], end: bytes, sizes: list[int], bom: bool
) -> None:
    stream = b"\xef\xbb\xbf" * bom + written(listed, end)
    reader = SseReader()
    got: list[Frame] = []
    place = turn = 0
    while place < len(stream):
        size = sizes[turn % len(sizes)]
        got += reader.feed(stream[place : place + size])
        place, turn = place + size, turn + 1
    got += reader.feed(b"")
    assert got == [Frame(name, "\n".join(lines).encode(), id) for name, lines, id in listed]


@given(st.binary(max_size=400), st.lists(st.integers(1, 20), min_size=1))
def test_no_bytes_upset_it(noise: bytes, sizes: list[int]) -> None:
    reader = SseReader(limit=100)
    place = turn = 0
    try:
        while place < len(noise):
            size = sizes[turn % len(sizes)]
            reader.feed(noise[place : place + size])
            place, turn = place + size, turn + 1
            assert len(reader._tail) + reader._size <= 200
    except WireError:
        pass


def test_a_field_without_a_colon_and_an_event_without_data() -> None:
    assert SseReader().feed(b"data\n\nevent: x\nid: 7\n\ndata:  two\n\n") == [
        Frame("message", b""),
        Frame("message", b" two"),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 200],
        [b"x" * 60] * 3,
        [b"data: " + b"x" * 60 + b"\n"] * 3,
        [b"data\n"] * 200,
    ],
)
def test_what_is_too_large_ends_it(pieces: list[bytes]) -> None:
    reader = SseReader(limit=100)
    with pytest.raises(WireError, match="longer than 100 bytes"):
        for piece in pieces:
            reader.feed(piece)
