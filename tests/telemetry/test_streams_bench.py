"""Serving hystrix.stream of 500 circuits holds nobody up: the longest piece of work, in processor time."""

from benchmarks.streams import STALL, busy_book, moment_of
from resilient.telemetry.hystrix_stream import stream_of


async def test_500_circuits_are_told_of_without_a_stall() -> None:
    stream = stream_of(busy_book())
    found = moment_of(stream)
    assert sum(piece.count(b"data: {") for piece in stream._pieces) == 500
    assert found["piece"] < STALL
    assert found["piece"] <= found["moment"]
