import xml.etree.ElementTree as ElementTree

import pytest
from eureka_samples import (
    AMAZON,
    DELTA,
    DELTA_XML,
    REGISTRATION,
    REGISTRATION_XML,
    SMALLEST,
    instances,
    patient,
)
from hypothesis import given
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.eureka import json, xml
from resilient.eureka.fields import Standing, instance_of, tree
from resilient.eureka.limits import Limits
from resilient.model import Instance, Status

SMALL = (
    b"<instance><hostName>h1</hostName><app>ORDERS</app><ipAddr>10.0.0.1</ipAddr>%b"
    b"<dataCenterInfo><name>MyOwn</name></dataCenterInfo></instance>"
)


def test_the_same_registration_in_both_spellings():
    assert xml.read_instance(REGISTRATION_XML) == json.read_instance(REGISTRATION)
    assert xml.read_instance(SMALL % b"") == json.read_instance(SMALLEST)


def test_the_same_delta_in_both_spellings():
    assert xml.read_applications(DELTA_XML) == json.read_applications(DELTA)


def test_what_is_written_is_what_eureka_writes():
    one = xml.read_instance(REGISTRATION_XML)
    sent = ElementTree.fromstring(REGISTRATION_XML)
    written = ElementTree.fromstring(xml.write_instance(tree(one)))

    for child in sent:
        twin = written.find(child.tag)
        assert twin is not None, child.tag
        assert (twin.text or "").strip() == (child.text or "").strip()
        assert twin.attrib == child.attrib
        assert [(leaf.tag, leaf.text) for leaf in twin] == [(leaf.tag, leaf.text) for leaf in child]


def test_marks_that_clients_insist_on():
    written = ElementTree.fromstring(xml.write_instance(tree(json.read_instance(SMALLEST), Standing())))

    assert written.find("port").attrib == {"enabled": "true"}
    assert written.find("securePort").attrib == {"enabled": "false"}
    assert written.find("dataCenterInfo").get("class").endswith("$DefaultDataCenterInfo")
    assert written.find("metadata").get("class") == "java.util.Collections$EmptyMap"
    assert written.find("overriddenstatus").text == "UNKNOWN"
    assert written.find("overriddenStatus") is None
    for path in ("countryId", "port", "securePort", "lastUpdatedTimestamp", "leaseInfo/evictionTimestamp"):
        assert written.find(path).text.isdigit()
    amazon = ElementTree.fromstring(xml.write_instance(tree(json.read_instance(AMAZON))))
    assert amazon.find("dataCenterInfo").get("class") == "com.netflix.appinfo.AmazonInfo"
    assert amazon.find("dataCenterInfo/metadata/mac").text == "02:00:5e:00:53:01"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("rack_id", "rack__id"),
        ("a$b", "a_-b"),
        ("a b/c", "a_.0020b_.002fc"),
        ("1a", "_.0031a"),
        ("a1.-", "a1.-"),
        ("a:b", "a_.003ab"),
        ("é", "_.00e9"),
        ("😀", "_.d83d_.de00"),
        ("_-", "__-"),
        ("_.0041", "__.0041"),
        ("-", "_.002d"),
    ],
)
def test_keys_as_element_names(key, name):
    assert xml.encode_name(key) == name
    assert xml.decode_name(name) == key


def test_names_that_eureka_would_not_have_written_stay():
    assert xml.decode_name("rack_id") == "rack_id"
    assert xml.decode_name("_") == "_"
    assert xml.decode_name("a_.00") == "a_.00"
    with pytest.raises(WireError):
        xml.decode_name("_.d83d")


@patient
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_key_survives(key):
    name = xml.encode_name(key)

    assert xml.decode_name(name) == key
    assert ElementTree.fromstring(f"<{name}/>").tag == name


def test_metadata_keys_cross_from_one_spelling_to_the_other():
    one = xml.read_instance(SMALL % b"<metadata><rack__id>7</rack__id><a> b </a><e/></metadata>")

    assert dict(one.metadata) == {"rack_id": "7", "a": " b ", "e": ""}
    assert b"<rack__id>7</rack__id>" in xml.write_instance(tree(one))


def test_enabled_has_eurekas_defaults():
    one = xml.read_instance(SMALL % b"<port>80</port><securePort>443</securePort>")
    assert (one.port, one.secure) == (80, False)
    one = xml.read_instance(
        SMALL % b'<port enabled="FALSE">80</port><securePort enabled="TRUE">443</securePort>'
    )
    assert (one.port, one.secure) == (443, True)


def test_tolerance():
    odd = b"<status>down</status><more><deep><er/></deep></more>"
    odd += b"<leaseInfo><durationInSecs>x</durationInSecs></leaseInfo>"
    odd += b"<port/><vipAddress/><lastDirtyTimestamp> 5 </lastDirtyTimestamp><!-- a --><?pi?>"
    one = xml.read_instance(SMALL % odd)

    assert (one.status, one.expire_after, one.port, one.dirty_at) == (Status.DOWN, 90, 7001, 5)
    assert b"more" not in xml.write_instance(tree(one))


@pytest.mark.parametrize(
    "inner",
    [
        b"<metadata><a><b>c</b></a></metadata>",
        b"<port>x</port>",
        b"<status>FOO</status>",
        b"<leaseInfo>90</leaseInfo>",
        b"<asgName><b/></asgName>",
        b"<metadata>text</metadata>",
        b"<metadata><_.d800>x</_.d800></metadata>",
    ],
)
def test_records_that_make_no_sense(inner):
    with pytest.raises(WireError):
        xml.read_instance(SMALL % inner)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"text",
        b"<instance>",
        b"<instance/><instance/>",
        b"<applications/>x",
        b"<other/>",
        b"{}",
        b"<!DOCTYPE instance>" + SMALL % b"",
        BOMB + SMALL % b"<asgName>&b;</asgName>",
        b'<!DOCTYPE instance SYSTEM "file:///etc/passwd">' + SMALL % b"",
        b'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:9/">%e;]>' + SMALL % b"",
        SMALL % b"<asgName>&unknown;</asgName>",
        SMALL % b"<asgName>\xff</asgName>",
        SMALL % b"<a>&#0;</a>",
        SMALL % b"<a>\x01</a>",
        b"<a>" * 10000,
        b"<instance>" + b"<a/>" * 10000 + b"</instance>",
        SMALL % b"<a:b/>",
        b'<?xml version="1.0" encoding="hex"?>' + SMALL % b"",
        b"<?xml version='1.0' encoding='UTF-16'?>" + SMALL % b"",
        b'<?xml version="1.0" encoding="utf-7"?>' + SMALL % b"",
        (SMALL % b"").decode().encode("utf-16"),
    ],
)
def test_bytes_that_are_no_registration(body):
    with pytest.raises(WireError):
        xml.read_instance(body)


def test_declared_encodings():
    named = SMALL % "<asgName>é</asgName>".encode()
    latin = SMALL % "<asgName>é</asgName>".encode("latin-1")

    assert xml.read_instance(b'<?xml version="1.0" encoding="UTF-8"?>' + named).extra["asgName"] == "é"
    assert xml.read_instance(b"\xef\xbb\xbf" + named).extra["asgName"] == "é"
    assert xml.read_instance(b'<?xml version="1.0" encoding="ISO-8859-1"?>' + latin).extra["asgName"] == "é"
    with pytest.raises(WireError):
        xml.read_instance(latin)


@pytest.mark.parametrize(("depth", "good"), [(15, True), (16, True), (17, False)])
def test_depth(depth, good):
    body = SMALL % (b"<a>" * (depth - 1) + b"</a>" * (depth - 1))
    if good:
        assert xml.read_instance(body).id == "h1"
    else:
        with pytest.raises(WireError, match="16 deep"):
            xml.read_instance(body)


@pytest.mark.parametrize(("nodes", "good"), [(9_999, True), (10_000, True), (10_001, False)])
def test_nodes(nodes, good):
    body = SMALL % (b'<a b=""/>' + b"<a/>" * (nodes - 8))
    if good:
        assert xml.read_instance(body).id == "h1"
    else:
        with pytest.raises(WireError, match="10000 elements"):
            xml.read_instance(body)


@pytest.mark.parametrize(
    ("status", "shown"),
    [("OUT_OF_SERVICE", "DOWN"), ("UNKNOWN", "DOWN"), ("STARTING", "STARTING"), ("UP", "UP")],
)
def test_version_one_knows_three_statuses(status, shown):
    written = tree(json.read_instance(SMALLEST).become(Status(status)))

    assert f"<status>{shown}</status>".encode() in xml.write_instance(written, v1=True)
    assert f"<status>{status}</status>".encode() in xml.write_instance(written)


def test_one_bad_record_does_not_make_the_list_unreadable():
    hostile = "]]><x>&\x00\x0b\x1f\ufffe\ud800\r\n\t\u2028\U0001f600"
    one = Instance(
        service="s", id=hostile, host="h", port=80, metadata={hostile[:12]: hostile, "@class": "x"}
    )
    body = xml.write_applications(
        "1", "UP_1_", [xml.write_application(hostile, [xml.write_instance(tree(one))])]
    )
    root = ElementTree.fromstring(body)

    shown = "]]><x>&\ufffd\ufffd\ufffd\ufffd\ufffd\r\n\t\u2028\U0001f600"
    assert root.find("application/name").text == shown
    assert root.find("application/instance/instanceId").text == shown
    assert root.find("application/instance/metadata")[0].text == shown


def test_documents_from_fragments():
    one = xml.write_instance(tree(json.read_instance(SMALLEST), Standing()))
    application = xml.write_application("ORDERS", [one, one])
    page = xml.read_applications(xml.write_applications("7", "UP_2_", [application, application]))

    assert (page.version, page.fingerprint, len(page.entries)) == ("7", "UP_2_", 4)
    assert len(xml.read_applications(xml.document("application", application)).entries) == 2
    assert xml.read_instance(xml.document("instance", one)).id == "h1"
    empty = ElementTree.fromstring(xml.write_applications("1", "", []))
    assert [(child.tag, child.text) for child in empty] == [
        ("versions__delta", "1"),
        ("apps__hashcode", None),
    ]


def test_one_bad_instance_does_not_spoil_the_list():
    good, bad = SMALL % b"", SMALL % b"<metadata><_.d800>x</_.d800></metadata>"
    page = xml.read_applications(
        xml.write_applications("1", "", [xml.write_application("ORDERS", [bad, good])])
    )

    assert (len(page.entries), page.skipped) == (1, 1)


def test_limits_can_be_narrowed():
    with pytest.raises(WireError):
        xml.read_instance(SMALL % b"", limits=Limits(nodes=3))


@patient
@given(instances())
def test_what_is_written_is_read_back_equal(one):
    body = xml.write_instance(tree(one))
    again = xml.read_instance(body)

    assert again == one
    assert json.read_instance(json.document("instance", json.write_instance(tree(again)))) == one


@patient
@given(instances(), st.booleans())
def test_both_spellings_tell_the_same(one, compact):
    written = tree(one, Standing(updated_at=3), compact=compact)
    from_json = json.read_instance(json.document("instance", json.write_instance(written)), trusted=True)

    assert (
        xml.read_instance(xml.write_instance(written), trusted=True)
        == from_json
        == instance_of(written, trusted=True)
    )


@patient
@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(DELTA_XML)), st.binary(max_size=4)))
def test_any_bytes_are_read_or_refused(sent):
    body = (
        sent
        if isinstance(sent, bytes)
        else DELTA_XML[: sent[0]] + sent[1] + DELTA_XML[sent[0] + len(sent[1]) :]
    )
    for read in (xml.read_instance, xml.read_applications):
        try:
            read(body)
        except WireError:
            pass
