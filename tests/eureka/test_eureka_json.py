import orjson
import pytest
from eureka_samples import AMAZON, DELTA, NODE, REGISTRATION, SMALLEST, SPRING, instances, minimal, patient
from hypothesis import given
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.eureka.fields import Standing, tree
from resilient.eureka.json import (
    document,
    parse,
    read_applications,
    read_instance,
    write_application,
    write_applications,
    write_instance,
)
from resilient.eureka.limits import Limits
from resilient.model import Action, Status


def echoed(body: bytes) -> dict:
    return orjson.loads(write_instance(tree(read_instance(body))))


def test_a_registration_comes_back_with_every_field_it_sent():
    sent = orjson.loads(REGISTRATION)["instance"]
    sent["overriddenStatus"] = sent.pop("overriddenstatus")
    sent.pop("lastUpdatedTimestamp")  # the server's to say

    assert echoed(REGISTRATION) == sent


def test_the_spring_client():
    written = echoed(SPRING)

    assert None not in written.values()
    assert written["metadata"] == {"management.port": "8080"}
    assert written["securePort"] == {"$": 443, "@enabled": "false"}
    assert written["lastDirtyTimestamp"] == "1893456000002"
    assert written["homePageUrl"] == "http://box:8080/"


def test_the_node_client():
    one = read_instance(NODE)

    assert (one.id, one.port, one.status) == ("node-js", 8080, Status.UP)
    assert dict(one.metadata) == {"weight": "3", "canary": "true"}


def test_the_smallest_registration():
    one = read_instance(SMALLEST)

    assert (one.service, one.id, one.port, one.renew_every, one.expire_after) == (
        "orders",
        "h1",
        7001,
        30,
        90,
    )
    assert not one.extra


def test_amazon():
    one = read_instance(AMAZON)

    assert (one.id, one.zone) == ("i-0123abcd", "xx-test-1a")
    assert echoed(AMAZON)["dataCenterInfo"] == orjson.loads(AMAZON)["instance"]["dataCenterInfo"]


def test_a_delta():
    page = read_applications(DELTA)

    assert (page.version, page.fingerprint, page.skipped) == ("42", "DOWN_1_UP_5_", 0)
    assert [(action, one.id, one.status) for action, one in page.entries] == [
        (Action.MODIFIED, "n8:orders:8080", Status.DOWN),
        (Action.DELETED, "n3:billing:9000", Status.UP),
    ]


@pytest.mark.parametrize("few", [b"[]", b"null", b'""'])
def test_an_empty_list(few):
    page = read_applications(
        b'{"applications":{"versions__delta":1,"apps__hashcode":"","application":%b}}' % few
    )

    assert (page.version, page.entries) == ("1", [])
    assert read_applications(b'{"applications":{}}').entries == []


def test_one_instead_of_many_and_the_name_of_the_application():
    sent = minimal(app=None)
    body = orjson.dumps({"applications": {"application": {"name": "ORDERS", "instance": sent}}})

    assert [one.service for _, one in read_applications(body).entries] == ["orders"]
    alone = orjson.dumps({"application": {"name": "ORDERS", "instance": [sent]}})
    assert [one.service for _, one in read_applications(alone).entries] == ["orders"]


def test_one_bad_instance_does_not_spoil_the_list():
    bad = [minimal(hostName="a/b"), 3, None, minimal(port={"$": "x"}), minimal(instanceId="good")]
    body = orjson.dumps(
        {"applications": {"application": [7, {"name": "ORDERS", "instance": bad}, {"name": 3}]}}
    )
    page = read_applications(body)

    assert [one.id for _, one in page.entries] == ["good"]
    assert page.skipped == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'{"instance":[]}',
        b'{"instance":null}',
        b"\xff",
        b'{"instance":{"app":"\\ud800"}}',
        b'{"instance":NaN}',
        b'{"instance":{"a":Infinity}}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100000,
        b'{"a":' * 100000,
        b"[" * 900 + b"]" * 900,
        SMALLEST[13:-1],
        b"\xef\xbb\xbf{}",
        b'"\x00"',
    ],
)
def test_bytes_that_are_no_registration(body):
    with pytest.raises(WireError):
        read_instance(body)
    with pytest.raises(WireError):
        read_applications(body)


@pytest.mark.parametrize(("depth", "good"), [(15, True), (16, True), (17, False)])
def test_depth(depth, good):
    body = b"[" * depth + b"]" * depth
    if good:
        parse(body, Limits())
    else:
        with pytest.raises(WireError, match="16 deep"):
            parse(body, Limits())


@pytest.mark.parametrize(("nodes", "good"), [(9_999, True), (10_000, True), (10_001, False)])
def test_nodes(nodes, good):
    body = b"[" + b",".join([b"0"] * (nodes - 1)) + b"]"
    if good:
        parse(body, Limits())
    else:
        with pytest.raises(WireError, match="10000 values"):
            parse(body, Limits())


def test_of_a_name_given_twice_the_last_counts():
    assert read_instance(SMALLEST.replace(b'"app":"ORDERS"', b'"app":"A","app":"B"')).service == "b"


def test_documents_from_fragments():
    one = write_instance(tree(read_instance(SMALLEST), Standing()))
    application = write_application('OR"DERS', [one, one])

    whole = orjson.loads(write_applications("7", "UP_2_", [application, application]))["applications"]
    assert (whole["versions__delta"], whole["apps__hashcode"]) == ("7", "UP_2_")
    assert [len(each["instance"]) for each in whole["application"]] == [2, 2]
    assert orjson.loads(document("application", application))["application"] == whole["application"][0]
    assert orjson.loads(document("instance", one))["instance"]["app"] == "ORDERS"
    empty = orjson.loads(write_applications("1", "", []))
    assert empty == {"applications": {"versions__delta": "1", "apps__hashcode": "", "application": []}}
    assert orjson.loads(write_application("X", [])) == {"name": "X", "instance": []}


def test_text_that_no_wire_can_carry_is_a_wire_error():
    with pytest.raises(WireError):
        write_instance({"metadata": {"a": "\ud800"}})


@patient
@given(instances())
def test_what_is_written_is_read_back_equal(one):
    body = document("instance", write_instance(tree(one)))

    assert read_instance(body) == one
    assert read_instance(body, trusted=True) == one


@patient
@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(DELTA)), st.binary(max_size=4)))
def test_any_bytes_are_read_or_refused(sent):
    body = sent if isinstance(sent, bytes) else DELTA[: sent[0]] + sent[1] + DELTA[sent[0] + len(sent[1]) :]
    for read in (read_instance, read_applications):
        try:
            read(body)
        except WireError:
            pass
