"""Every row of the table of what is tolerated."""

import pytest
from eureka_samples import AMAZON_CLASS, DEFAULT_CLASS, accepted, listed, minimal, refused

from resilient.errors import WireError
from resilient.eureka.fields import action_of, instance_of, tree
from resilient.eureka.limits import Limits
from resilient.model import Action, Status

# ---- required fields -------------------------------------------------------------------------------


@pytest.mark.parametrize("absent", [None, ""])
@pytest.mark.parametrize("name", ["hostName", "ipAddr", "app", "dataCenterInfo"])
def test_required_fields(name, absent):
    tree = minimal(instanceId="i")
    tree[name] = absent
    with pytest.raises(WireError, match=f"^{name} is missing; send"):
        instance_of(tree)


def test_the_first_missing_field_is_named_in_eurekas_order():
    with pytest.raises(WireError, match="instanceId is missing"):
        instance_of({})
    with pytest.raises(WireError, match="ipAddr is missing"):
        instance_of({"hostName": "h"})
    assert "dataCenterInfo.name" in refused(dataCenterInfo={})


def test_the_id_is_instance_id_then_amazons_then_the_host():
    amazon = {"name": "Amazon", "metadata": {"instance-id": "i-9"}}

    assert accepted(instanceId="mine", dataCenterInfo=amazon).id == "mine"
    assert accepted(dataCenterInfo=amazon).id == "i-9"
    assert accepted(dataCenterInfo={"name": "MyOwn", "metadata": {"instance-id": "i-9"}}).id == "h1"
    assert accepted(instanceId="").id == "h1"


@pytest.mark.parametrize(
    ("told", "id"),
    [("7", "h1:7"), (7, "h1:7"), ("h1:orders:7", "h1:orders:7"), ("", "h1"), ("a b", "h1"), (None, "h1")],
)
def test_an_id_told_in_the_metadata_only_is_a_part_of_the_id(told, id):
    metadata = {} if told is None else {"instanceId": told}

    assert accepted(metadata=metadata).id == id


def test_an_id_told_in_the_metadata_comes_after_the_others():
    amazon = {"name": "Amazon", "metadata": {"instance-id": "i-9"}}

    assert accepted(instanceId="mine", metadata={"instanceId": "7"}).id == "mine"
    assert accepted(dataCenterInfo=amazon, metadata={"instanceId": "7"}).id == "i-9"
    # What a registry lists is addressed by what it lists.
    assert listed(metadata={"instanceId": "7"}).id == "h1"


# ---- tolerance -------------------------------------------------------------------------------------


def test_unknown_members_are_ignored_and_not_echoed():
    plain = accepted()

    assert accepted(foo=1, bar={"a": [1]}, baz=[{}]) == plain
    assert listed(foo=1, bar={"a": [1]}, baz=[{}]) == plain


def test_null_is_absent():
    optional = (
        "sid status overriddenStatus port securePort countryId leaseInfo metadata appGroupName homePageUrl "
    )
    optional += "vipAddress lastDirtyTimestamp asgName actionType isCoordinatingDiscoveryServer instanceId"

    assert instance_of({**minimal(), **dict.fromkeys(optional.split())}) == accepted()
    assert accepted(port={"$": None, "@enabled": None}) == accepted()


@pytest.mark.parametrize(
    "value", [8080, "8080", 8080.0, {"$": 8080}, {"$": "8080", "@enabled": True, "more": 1}]
)
def test_a_port_may_be_bare_or_textual(value):
    one = accepted(port=value)

    assert one.port == 8080
    assert tree(one)["port"] == {"$": 8080, "@enabled": "true"}


def test_a_bare_secure_port_is_not_switched_on_by_naming_it():
    assert tree(accepted(securePort="444"))["securePort"] == {"$": 444, "@enabled": "false"}


@pytest.mark.parametrize("value", ["x", "", None, "0x10", True, 80.5, [1], "٣", "1_0", "9" * 30])
def test_a_port_that_is_no_number(value):
    if value in ("", None):
        assert accepted(port={"$": value}).port == 7001
    else:
        assert "port must be a whole number" in refused(port={"$": value})


@pytest.mark.parametrize(("number", "good"), [(-1, False), (0, True), (65535, True), (65536, False)])
def test_ports_have_sixteen_bits(number, good):
    if good:
        assert accepted(port=number).port == number
    else:
        refused(port=number)
        refused(securePort={"$": str(number)})


def test_the_data_centres_class_is_inferred_from_its_name():
    assert tree(accepted(dataCenterInfo={"name": "MyOwn"}))["dataCenterInfo"]["@class"] == DEFAULT_CLASS
    old = {"@class": "com.netflix.appinfo.MyDataCenterInfo", "name": "MyOwn", "more": {"a": 1}}
    assert accepted(dataCenterInfo=old) == accepted()
    netflix = tree(accepted(dataCenterInfo={"@class": AMAZON_CLASS, "name": "Netflix"}))["dataCenterInfo"]
    assert netflix == {"@class": DEFAULT_CLASS, "name": "Netflix"}


@pytest.mark.parametrize("name", [None, "", "Azure", 3, [], {"a": 1}])
def test_a_data_centre_is_one_of_three(name):
    assert "Netflix, Amazon or MyOwn" in refused(dataCenterInfo={"@class": "com.example.Mine", "name": name})


def test_amazon_with_the_default_class_is_amazon_and_knows_its_id():
    written = tree(accepted(dataCenterInfo={"@class": DEFAULT_CLASS, "name": "Amazon"}))

    assert written["dataCenterInfo"] == {
        "@class": AMAZON_CLASS,
        "name": "Amazon",
        "metadata": {"instance-id": "h1"},
    }


def test_amazons_metadata_is_held_to_the_same_rules():
    assert "dataCenterInfo.metadata" in refused(dataCenterInfo={"name": "Amazon", "metadata": {"a": []}})
    assert "dataCenterInfo.metadata" in refused(dataCenterInfo={"name": "Amazon", "metadata": [1]})


@pytest.mark.parametrize("status", Status)
def test_a_status_in_any_case(status):
    assert accepted(status=status.lower()).status is status
    assert accepted(overriddenstatus=status.lower()).extra.get("overriddenStatus", "UNKNOWN") == status


@pytest.mark.parametrize("value", ["FOO", 1, [], {}])
def test_an_unknown_status_is_refused_and_of_a_registry_is_unknown(value):
    assert "status must be one of UP" in refused(status=value)
    assert "overriddenStatus must be one of UP" in refused(overriddenStatus=value)
    assert listed(status=value).status is Status.UNKNOWN


def test_both_spellings_of_the_override():
    assert accepted(overriddenStatus="DOWN").extra["overriddenStatus"] == "DOWN"
    assert accepted(overriddenstatus="DOWN").extra["overriddenStatus"] == "DOWN"
    assert "overriddenStatus" not in accepted(overriddenstatus="").extra


def test_a_missing_dirty_stamp_is_the_receivers_time():
    assert accepted().dirty_at == 0
    assert instance_of(minimal(), now_ms=1000).dirty_at == 1000
    assert instance_of(minimal(lastDirtyTimestamp=7), now_ms=1000).dirty_at == 7


@pytest.mark.parametrize("value", ["abc", -1, 1.5, True, {}, "1" * 21, 2**63])
def test_a_dirty_stamp_is_a_number(value):
    assert "lastDirtyTimestamp" in refused(lastDirtyTimestamp=value)


@pytest.mark.parametrize(("ahead", "kept"), [(299_999, 299_999), (300_000, 300_000), (300_001, 300_000)])
def test_a_dirty_stamp_from_the_future_is_clamped(ahead, kept):
    now = 1_000_000

    assert instance_of(minimal(lastDirtyTimestamp=str(now + ahead)), now_ms=now).dirty_at == now + kept


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0, 90),
        (-5, 90),
        ("-5", 90),
        ("x", 90),
        (None, 90),
        (True, 90),
        ([], 90),
        (1, 1),
        ("40", 40),
        (86399, 86399),
        (86400, 86400),
        (86401, 86400),
        (1e300, 90),
        (10**25, 86400),
    ],
)
def test_lease_lengths_fall_back_or_are_clamped(value, kept):
    assert accepted(leaseInfo={"durationInSecs": value}).expire_after == kept
    assert accepted(leaseInfo={"durationInSecs": value}).renew_every == 30


def test_lease_lengths_are_clamped_to_what_is_configured():
    limits = Limits(lease_min=5, lease_max=600)
    sent = minimal(leaseInfo={"renewalIntervalInSecs": 1, "durationInSecs": 9999})
    one = instance_of(sent, limits=limits)

    assert (one.renew_every, one.expire_after) == (5, 600)


def test_lease_info_is_an_object():
    assert "leaseInfo must be an object" in refused(leaseInfo=[30])


def test_metadata_values_become_text_and_containers_are_refused():
    assert dict(accepted(metadata={"a": 1, "b": True, "c": 1.5, "d": None, "@class": "x"}).metadata) == {
        "a": "1",
        "b": "true",
        "c": "1.5",
    }
    assert "metadata" in refused(metadata={"a": []})
    assert "metadata" in refused(metadata=["a"])
    assert dict(listed(metadata={"a": [], "b": 2}).metadata) == {"b": "2"}


def test_known_text_that_is_no_text():
    assert "asgName must be text" in refused(asgName={"a": 1})
    assert accepted(asgName=5).extra["asgName"] == "5"
    assert "control characters" in refused(asgName="a\x1b[2J")
    assert accepted(sid="na") == accepted(sid="unknown") == accepted()


def test_the_country_is_a_number():
    assert accepted(countryId="49").extra["countryId"] == 49
    assert accepted(countryId=1) == accepted()
    refused(countryId="de")


# ---- what registries list --------------------------------------------------------------------------


def test_a_registrys_instance_needs_only_somebody_to_call():
    one = instance_of({"app": "X_1", "ipAddr": "10.0.0.1", "port": 80}, trusted=True)

    assert (one.service, one.id, one.host, one.address, one.port) == (
        "x_1",
        "10.0.0.1",
        "10.0.0.1",
        "10.0.0.1",
        80,
    )
    assert listed(hostName="my_docker_host").host == "my_docker_host"
    assert listed(dataCenterInfo={"name": "Azure"}, leaseInfo=3, countryId="x", metadata=4) == listed()


@pytest.mark.parametrize(
    "changes",
    [
        {"app": None},
        {"app": 3},
        {"hostName": None, "ipAddr": None},
        {"hostName": "h/x"},
        {"hostName": "u@h"},
        {"port": {"$": "x"}},
        {"instanceId": "a\x1b"},
        {"app": "a\n"},
    ],
)
def test_a_registrys_instance_that_nobody_can_call(changes):
    with pytest.raises(WireError):
        listed(**changes)


def test_what_happened():
    assert action_of({"actionType": "DELETED"}) is Action.DELETED
    assert action_of({}) is action_of({"actionType": ["x"]}) is action_of({"actionType": "x"}) is Action.ADDED
