from __future__ import annotations

import json

import orjson
from seeded_source import SeededSource

from dashboard.picture import COUNTS, Picture
from resilient.clock import ManualClock


def turn(picture, source, clock):
    return picture.turn(source, clock.monotonic())


def make(**members):
    clock = ManualClock()
    source = SeededSource(clock=clock, past=3, **members)
    picture = Picture()
    turn(picture, source, clock)
    return clock, source, picture


def test_the_whole_has_every_number_of_the_source():
    _, source, picture = make()
    whole = picture.whole()
    instances = [(row["name"], one["id"]) for row in source.services() for one in row["instances"]]
    assert [(one["service"], one["id"]) for one in whole["instances"]] == instances
    rows = {(row["service"], row["name"]): row for row in source.circuits()}
    assert len(whole["circuits"]) == len(rows) == 40
    for circuit in whole["circuits"]:
        row = rows[circuit["service"], circuit["name"]]
        assert circuit["counts"] == [row["counts"][name] for name in COUNTS]
        assert circuit["state"] == row["state"]
        assert circuit["history"] == row["history"]
    assert whole["node"]["version"] == "0.1.0"
    assert whole["changes"] == source.changes()


def test_time_alone_changes_nothing():
    clock, source, picture = make()
    quiet = {"services": source.services, "circuits": source.circuits}
    for _ in range(30):
        clock.advance(1)
        delta = turn(picture, source, clock)
        assert "instances" not in delta
        assert "beats" not in delta
        assert "node" not in delta
        assert "changes" not in delta
        for circuit in delta.get("circuits", ()):
            # The seeded processes repeat their words, so only what they say may come again.
            assert set(circuit) <= {"k", "since_at", "retry_at"}
    assert quiet


def test_a_heartbeat_is_sent_as_a_heartbeat_only():
    clock, source, picture = make()
    clock.advance(20)
    one = source.rows[2]["instances"][0]
    one["at"] = clock.monotonic() - 0.2
    delta = turn(picture, source, clock)
    assert delta["beats"] == [("checkout", one["id"], round(clock.monotonic() - 0.2, 1))]
    assert "instances" not in delta


def test_a_changed_instance_is_sent_alone_and_a_missing_one_as_left():
    clock, source, picture = make()
    members = source.rows[1]["instances"]
    members[0]["status"] = "DOWN"
    gone = members.pop()
    delta = turn(picture, source, clock)
    assert [(one["id"], one["status"]) for one in delta["instances"]] == [(members[0]["id"], "DOWN")]
    assert delta["left"] == [["orders", gone["id"]]]
    assert "left" not in turn(picture, source, clock)


def test_a_turn_of_a_circuit_is_a_small_difference():
    clock, source, picture = make()
    keys = {(one["service"], one["name"]): one["k"] for one in picture.whole()["circuits"]}
    spec = source._specs[5]
    spec["state"] = "open"
    delta = turn(picture, source, clock)
    (row,) = [one for one in delta["circuits"] if "state" in one]
    assert row["k"] == keys[spec["caller"], spec["name"]]
    assert row["state"] == "open"
    assert "name" not in row
    assert "history" not in row


def test_an_ended_circuit_keeps_its_key_to_itself():
    clock, source, picture = make(circuits=3)
    spec = source._specs.pop()
    clock.advance(120)
    delta = turn(picture, source, clock)
    assert len(delta["ended"]) == 1
    source._specs.append(spec)
    delta = turn(picture, source, clock)
    fresh = [one for one in delta["circuits"] if "name" in one]
    assert len(fresh) == 1
    assert fresh[0]["k"] not in (1, 2, 3)


def test_only_new_changes_are_sent():
    clock, source, picture = make()
    new = {"at": 5.0, "action": "ADDED", "service": "a", "instance": "b"}
    source.happened = [new, *source.happened]
    assert turn(picture, source, clock)["happened"] == [new]
    assert "happened" not in turn(picture, source, clock)
    source.happened = source.happened[:-3]
    assert "changes" not in turn(picture, source, clock)
    source.happened = [{**new, "at": 9.0}]
    assert turn(picture, source, clock)["changes"] == source.happened
    source.happened = []
    assert turn(picture, source, clock)["changes"] == []


def test_foreign_metadata_is_bounded():
    clock, source, picture = make()
    source.rows[0]["instances"][0]["metadata"] = {f"key{n}": "v" * 10_000 for n in range(500)}
    (row,) = turn(picture, source, clock)["instances"]
    assert len(row["metadata"]) == 50
    assert max(map(len, row["metadata"].values())) == 500


def test_everything_is_json():
    _, _, picture = make()
    assert json.loads(orjson.dumps(picture.whole()))


def test_missing_members_of_a_source_are_no_error():
    class Bare:
        def services(self):
            return [{"name": "a", "instances": [{"id": "x"}]}]

        def circuits(self):
            return [{"service": "a", "name": "c"}]

        def node(self):
            return {}

        def changes(self):
            return []

    picture = Picture()
    picture.turn(Bare(), 5.0)
    (circuit,) = picture.whole()["circuits"]
    assert (circuit["state"], circuit["errors"], circuit["rate"]) == ("closed", None, 0.0)
