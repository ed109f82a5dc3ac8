import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.telemetry.sse import HEARTBEAT, Message, Parser, comment, event


def test_event_writes_fields_in_one_block() -> None:
    assert event("x", name="turn", id=7, retry=1.5) == b"event: turn\nid: 7\nretry: 1500\ndata: x\n\n"


def test_event_splits_every_kind_of_line_break() -> None:
    assert event("a\nb\r\nc\rd") == b"data: a\ndata: b\ndata: c\ndata: d\n\n"
    assert event(b"") == b"data: \n\n"


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_S31_event_refuses_fields_that_would_begin_another(bad: str) -> None:
    with pytest.raises(ValueError):
        event("x", name=bad)
    with pytest.raises(ValueError):
        event("x", id=bad)


def test_comment_cannot_become_an_event() -> None:
    assert comment("a\ndata: evil") == b": a data: evil\n\n"
    assert Parser().feed(comment("x\r\ndata: evil") + HEARTBEAT) == []


def test_parser_reads_what_the_standard_describes() -> None:
    parser = Parser()
    wire = b"\xef\xbb\xbf: hello\n\ndata:one\ndata: two\nid: 4\nevent: turn\nfoo: bar\n\n"
    wire += b"data\n\nid\nretry: 250\n\ndata: z\n\n"
    assert parser.feed(wire) == [
        Message("one\ntwo", "turn", "4"),
        Message("", "message", "4"),
        Message("z", "message", ""),
    ]
    assert parser.retry == 0.25


def test_parser_ignores_an_id_with_nul_and_a_silly_retry() -> None:
    parser = Parser(last_id="1")
    assert parser.feed(b"id: a\0b\nretry: 9x\nretry: \xc2\xb2\ndata: x\n\n") == [Message("x", "message", "1")]
    assert parser.retry is None


def test_parser_drops_an_unfinished_event() -> None:
    assert Parser().feed(b"data: x\n") == []


@given(
    st.lists(
        st.tuples(
            st.text().map(lambda t: t.encode("utf-8", "ignore").decode()),
            st.sampled_from(["a", "turn", "ping"]),
            st.integers(0, 99),
        ),
        max_size=5,
    ),
    st.lists(st.integers(1, 20), min_size=1, max_size=40),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_what_is_written_is_read_in_any_pieces(
    events: list[tuple[str, str, int]], cuts: list[int], newline: bytes
) -> None:
    wire = b"".join(event(d, name=n, id=i) for d, n, i in events).replace(b"\n", newline)
    whole = Parser().feed(wire)
    parser, pieces, at = Parser(), [], 0
    for cut in cuts * (len(wire) // sum(cuts) + 1):
        pieces += parser.feed(wire[at : at + cut])
        at += cut
    assert pieces == whole
    assert [(m.name, m.id) for m in whole] == [(n, str(i)) for _, n, i in events]
    assert [m.data for m in whole] == [d.replace("\r\n", "\n").replace("\r", "\n") for d, _, _ in events]


def test_R12_a_line_without_end_is_given_up() -> None:
    parser = Parser(limit=100)
    with pytest.raises(WireError):
        for _ in range(30):
            parser.feed(b"data: xx")
    with pytest.raises(WireError):
        parser.feed(b"\n\n")


def test_R12_an_event_without_end_is_given_up() -> None:
    parser = Parser(limit=1000)
    with pytest.raises(WireError):
        for _ in range(200):
            parser.feed(b"data: x\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_error(junk: bytes) -> None:
    for message in Parser().feed(junk):
        assert "\r" not in message.data
