from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_server.answers import CHUNK, Answers, Form
from registry_server.leases import LeaseTable
from registry_server.packing import Answer, Glue, Piece
from resilient.clock import ManualClock
from resilient.eureka.codec import JSON, XML
from resilient.eureka.fields import tree
from resilient.model import Instance, Status

FORM = Form.of(JSON, False)


def house(count: int) -> tuple[LeaseTable, Answers]:
    table = LeaseTable(ManualClock())
    answers = Answers(table)
    for n in range(count):
        change = table.register(Instance(service="s", id=f"i{n}", host="h", port=1, dirty_at=1))
        assert change is not None
        answers.apply(change)
    return table, answers


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200_000)), max_size=6))
def test_a_joined_gzip_is_one_gzip(parts: list[tuple[bool, bytes]]) -> None:
    pieces = [Glue(one) if glue else Piece(one) for glue, one in parts]
    answer = Answer("x/y", pieces)
    assert answer.plain == b"".join(one for _, one in parts)
    assert gzip.decompress(answer.gzipped) == answer.plain
    assert gzip.decompress(answer._gzip()) == answer.plain


def test_large_ones_are_joined_from_compressed_pieces() -> None:
    pieces = [Piece(b"a" * 50_000), Glue(b","), Piece(b"b" * 50_000)]
    answer = Answer("x/y", pieces)
    assert gzip.decompress(answer.gzipped) == b"a" * 50_000 + b"," + b"b" * 50_000
    assert len(answer.gzipped) < 1000


def test_a_change_encodes_its_own_chunk_again_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    table, answers = house(3 * CHUNK)
    first = answers.everything(FORM).plain
    assert answers.everything(FORM) is answers.everything(FORM)
    encoded: list[str] = []

    def counting(instance: Instance, *args: object, **kwargs: object) -> dict[str, object]:
        encoded.append(instance.id)
        return tree(instance, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("registry_server.shelves.tree", counting)
    for _ in range(3):
        table.renew("s", "i0")
        assert answers.everything(FORM).plain == first
    assert encoded == []
    change = table.override("s", "i70", Status.DOWN)
    assert change is not None
    answers.apply(change)
    assert answers.everything(FORM).plain != first
    assert encoded == [f"i{n}" for n in range(CHUNK, 2 * CHUNK)]


def test_chunks_stay_true_when_instances_come_and_go() -> None:
    table, answers = house(CHUNK + 5)
    for n in range(CHUNK):
        change = table.cancel("s", f"i{n}")
        assert change is not None
        answers.apply(change)
    document = json.loads(answers.everything(FORM).plain)
    (application,) = document["applications"]["application"]
    assert [one["instanceId"] for one in application["instance"]] == [
        f"i{n}" for n in range(CHUNK, CHUNK + 5)
    ]
    for n in range(CHUNK, CHUNK + 5):
        change = table.cancel("s", f"i{n}")
        assert change is not None
        answers.apply(change)
    assert json.loads(answers.everything(FORM).plain)["applications"]["application"] == []
    assert answers.application("s", FORM) is None


def test_pieces_join_to_what_the_codec_writes() -> None:
    table, answers = house(CHUNK + 3)
    other = table.register(Instance(service="t", id="x", host="h", port=1))
    assert other is not None
    answers.apply(other)
    for format in (JSON, XML):
        form = Form.of(format, False)
        applications = [
            format.write_application(
                name.upper(), [form.fragment(lease.record) for lease in table.leases(name).values()]
            )
            for name in table.services()
        ]
        assert answers.everything(form).plain == format.write_applications(
            "1", f"UP_{CHUNK + 4}_", applications
        )
        one = answers.application("t", form)
        assert one is not None
        assert one.plain == format.document("application", applications[1])


def test_unknown_names_leave_nothing_behind() -> None:
    _, answers = house(3)
    for n in range(1000):
        answers.application(f"a{n}", FORM)
        answers.vip(f"v{n}", FORM, secure=False)
    assert len(answers._cache) == 0
    assert len(answers._vips) == 0


def test_the_delta_forgets_with_time() -> None:
    clock = ManualClock()
    table = LeaseTable(clock)
    answers = Answers(table)
    change = table.register(Instance(service="s", id="a", host="h", port=1))
    assert change is not None
    answers.apply(change)
    with_change = answers.delta(FORM).plain
    assert answers.delta(FORM).plain == with_change
    clock.advance(181)
    without = json.loads(answers.delta(FORM).plain)["applications"]
    assert without["application"] == []
    assert without["apps__hashcode"] == "UP_1_"
    assert without["versions__delta"] != json.loads(with_change)["applications"]["versions__delta"]


def test_a_storm_of_changes_is_answered_from_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry_server.answers.STORM", 2 * CHUNK)
    clock = ManualClock()
    table = LeaseTable(clock)
    answers = Answers(table)

    def do(change: object) -> None:
        assert change is not None
        answers.apply(change)  # type: ignore[arg-type]

    def shown() -> dict[str, str]:
        document = json.loads(gzip.decompress(answers.delta(FORM).gzipped))["applications"]
        assert len(document["application"]) <= 1
        found = [one for app in document["application"] for one in app["instance"]]
        assert len({one["instanceId"] for one in found}) == len(found)
        return {one["instanceId"]: one["actionType"] for one in found}

    for n in range(3 * CHUNK):
        do(table.register(Instance(service="s", id=f"i{n}", host="h", port=1)))
    everybody = {f"i{n}": "ADDED" for n in range(3 * CHUNK)}
    assert shown() == everybody
    do(table.cancel("s", "i0"))
    assert shown() == everybody  # still the answer of this second
    clock.advance(1)
    assert shown() == {**everybody, "i0": "DELETED"}
    clock.advance(180)
    assert shown() == {}
    answers.forget()
    do(table.override("s", "i1", Status.DOWN))
    assert shown() == {"i1": "MODIFIED"}
