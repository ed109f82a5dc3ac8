import orjson
import pytest
from eureka_samples import BATCH, SMALLEST, minimal, patient
from hypothesis import given
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.eureka import json
from resilient.eureka.fields import tree
from resilient.eureka.replication import (
    Item,
    Kind,
    Reply,
    read_batch,
    read_replies,
    write_batch,
    write_replies,
)
from resilient.model import Status


def batch(*items: object) -> bytes:
    return orjson.dumps({"replicationList": list(items)})


def item(**changes: object) -> dict[str, object]:
    return {"appName": "ORDERS", "id": "h1", "action": "Heartbeat", **changes}


def test_a_batch_of_all_five():
    register, heartbeat, cancel, status, removed = read_batch(BATCH)

    assert register.kind is Kind.REGISTER
    assert register.instance is not None
    assert (register.instance.id, register.status, register.dirty_at) == (
        "n7:orders:8080",
        Status.UP,
        1893456000123,
    )
    assert heartbeat == Item(
        kind=Kind.HEARTBEAT,
        app="ORDERS",
        id="n8:orders:8080",
        dirty_at=1893456000456,
        status=Status.OUT_OF_SERVICE,
        overridden=Status.OUT_OF_SERVICE,
    )
    assert cancel == Item(kind=Kind.CANCEL, app="BILLING", id="n3:billing:9000")
    assert (status.kind, status.status) == (Kind.STATUS, Status.DOWN)
    assert (removed.kind, removed.status) == (Kind.STATUS_REMOVED, Status.UNKNOWN)


def test_a_batch_is_written_as_it_is_read():
    items = read_batch(BATCH)

    assert read_batch(write_batch(items)) == items
    sent = orjson.loads(write_batch(items))["replicationList"]
    assert sent[2] == {"appName": "BILLING", "id": "n3:billing:9000", "action": "Cancel"}
    assert isinstance(sent[0]["lastDirtyTimestamp"], int)
    assert sent[0]["instanceInfo"]["hostName"] == "n7.example.net"


@pytest.mark.parametrize(
    "info",
    [minimal(hostName=""), minimal(app="BILLING"), 3, {}, minimal(metadata={"a": []}), minimal(port="x")],
)
def test_a_bad_instance_spoils_only_its_item(info):
    bad, good = read_batch(batch(item(action="Register", instanceInfo=info), item()))

    assert bad.instance is None
    assert bad.problem
    assert (good.kind, good.problem) == (Kind.HEARTBEAT, "")


def test_a_missing_instance_is_no_problem_of_the_parsers():
    (one,) = read_batch(batch(item(action="Register", appName="orders", instanceInfo=None)))

    assert (one.instance, one.problem, one.app) == (None, "", "ORDERS")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"replicationList":{}}',
        batch(3),
        batch(item(action="Eat")),
        batch(item(action=None)),
        batch(item(action=[])),
        batch(item(appName=None)),
        batch(item(id="")),
        batch(item(id=[1])),
        batch(item(id="i" * 257)),
        batch(item(lastDirtyTimestamp="x")),
        batch(item(status="FOO")),
        batch(item(overriddenStatus=3)),
        b"[" * 9999,
    ],
)
def test_batches_that_cannot_be_used(body):
    with pytest.raises(WireError):
        read_batch(body)


@pytest.mark.parametrize(("items", "good"), [(4_999, True), (5_000, True), (5_001, False)])
def test_batches_have_a_length(items, good):
    body = batch(*[item()] * items)
    if good:
        assert len(read_batch(body)) == items
    else:
        with pytest.raises(WireError, match="5000 items"):
            read_batch(body)


def test_full_batches_of_large_records_are_within_the_limits():
    large = minimal(metadata={f"k{n}": "v" * 40 for n in range(120)})
    items = read_batch(batch(*[item(action="Register", instanceInfo=large)] * 250))

    assert all(one.instance is not None for one in items)


def test_stamps_from_the_future_are_clamped():
    sent = batch(
        item(lastDirtyTimestamp=10**15, action="Register", instanceInfo=minimal(lastDirtyTimestamp=10**15))
    )
    (one,) = read_batch(sent, now_ms=1000)

    assert one.dirty_at == one.instance.dirty_at == 301_000


def test_answers():
    ours = json.read_instance(SMALLEST)
    body = write_replies([(200, None), (409, tree(ours)), (404, None)])

    assert orjson.loads(body)["responseList"][0] == {"statusCode": 200}
    assert orjson.loads(body)["responseList"][1]["responseEntity"]["hostName"] == "h1"
    assert read_replies(body) == [Reply(200), Reply(409, ours), Reply(404)]
    assert read_replies(b'{"responseList":[{"statusCode":409,"responseEntity":{"app":"X"}}]}') == [Reply(409)]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"responseList":[3]}', b'{"responseList":[{}]}', b'{"responseList":[{"statusCode":"x"}]}'],
)
def test_answers_that_cannot_be_used(body):
    with pytest.raises(WireError):
        read_replies(body)


@patient
@given(st.binary(max_size=40) | st.tuples(st.integers(0, len(BATCH)), st.binary(max_size=4)))
def test_any_bytes_are_read_or_refused(sent):
    body = sent if isinstance(sent, bytes) else BATCH[: sent[0]] + sent[1] + BATCH[sent[0] + len(sent[1]) :]
    for read in (read_batch, read_replies):
        try:
            read(body)
        except WireError:
            pass
