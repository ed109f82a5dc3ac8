import dataclasses

import orjson
import pytest
from eureka_samples import AMAZON_CLASS, DEFAULT_CLASS, minimal, patient
from hypothesis import given
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.eureka import json
from resilient.eureka.fields import Standing, instance_of, ports, registration, standing_of, tree, vips
from resilient.model import Action, Instance, Status

# fmt: off
MEMBERS = [
    "instanceId", "hostName", "app", "ipAddr", "sid", "status", "overriddenStatus", "port",
    "securePort", "countryId", "dataCenterInfo", "leaseInfo", "metadata", "appGroupName", "homePageUrl",
    "statusPageUrl", "healthCheckUrl", "secureHealthCheckUrl", "vipAddress", "secureVipAddress",
    "isCoordinatingDiscoveryServer", "lastUpdatedTimestamp", "lastDirtyTimestamp", "actionType",
    "asgName",
]
# fmt: on

STANDING = Standing(
    overridden=Status.DOWN,
    registered_at=11,
    renewed_at=12,
    evicted_at=13,
    up_at=14,
    updated_at=15,
    action=Action.MODIFIED,
    coordinating=True,
)


def full(**changes: object) -> Instance:
    everything = minimal(
        instanceId="i1",
        sid="s9",
        port={"$": 80, "@enabled": "true"},
        securePort={"$": 443, "@enabled": "true"},
        countryId=44,
        dataCenterInfo={
            "name": "Amazon",
            "metadata": {
                "instance-id": "i-1",
                "public-ipv4": "192.0.2.1",
                "mac": "m",
                "availability-zone": "z1",
            },
        },
        leaseInfo={"renewalIntervalInSecs": 5, "durationInSecs": 15},
        metadata={"a": "1"},
        appGroupName="shop",
        homePageUrl="http://h/",
        statusPageUrl="http://h/i",
        healthCheckUrl="http://h/h",
        secureHealthCheckUrl="https://h/h",
        vipAddress="orders,other",
        secureVipAddress="s-orders",
        lastDirtyTimestamp="77",
        asgName="group",
    )
    everything.update(changes)
    return instance_of(everything)


def test_the_tree_has_every_member_in_eurekas_order_and_types():
    written = tree(full(), STANDING)

    assert list(written) == MEMBERS
    assert written["port"] == {"$": 80, "@enabled": "true"}
    assert written["securePort"] == {"$": 443, "@enabled": "true"}
    assert written["countryId"] == 44
    assert written["appGroupName"] == "SHOP"
    assert written["overriddenStatus"] == "DOWN"
    assert written["isCoordinatingDiscoveryServer"] == "true"
    assert written["lastUpdatedTimestamp"] == "15"
    assert written["lastDirtyTimestamp"] == "77"
    assert written["actionType"] == "MODIFIED"
    assert written["dataCenterInfo"]["@class"] == AMAZON_CLASS
    assert written["leaseInfo"] == {
        "renewalIntervalInSecs": 5,
        "durationInSecs": 15,
        "registrationTimestamp": 11,
        "lastRenewalTimestamp": 12,
        "evictionTimestamp": 13,
        "serviceUpTimestamp": 14,
    }


def test_the_tree_of_the_smallest_registration_has_no_null_and_no_more_than_needed():
    written = tree(instance_of(minimal()), Standing())

    assert [name for name in MEMBERS if name not in written] == [
        "sid",
        "appGroupName",
        "homePageUrl",
        "statusPageUrl",
        "healthCheckUrl",
        "secureHealthCheckUrl",
        "vipAddress",
        "secureVipAddress",
        "lastDirtyTimestamp",
        "asgName",
    ]
    assert written["instanceId"] == "h1"
    assert written["port"] == {"$": 7001, "@enabled": "true"}
    assert written["securePort"] == {"$": 7002, "@enabled": "false"}
    assert written["dataCenterInfo"] == {"@class": DEFAULT_CLASS, "name": "MyOwn"}
    assert written["metadata"] == {"@class": "java.util.Collections$EmptyMap"}
    assert (written["leaseInfo"]["renewalIntervalInSecs"], written["leaseInfo"]["durationInSecs"]) == (30, 90)
    assert b"null" not in json.write_instance(written)


def test_the_compact_tree_leaves_out_what_eureka_leaves_out():
    written = tree(full(), STANDING, compact=True)

    assert set(written) == {
        "instanceId",
        "hostName",
        "app",
        "ipAddr",
        "status",
        "port",
        "securePort",
        "dataCenterInfo",
        "vipAddress",
        "secureVipAddress",
        "lastUpdatedTimestamp",
        "actionType",
        "asgName",
    }
    assert written["lastUpdatedTimestamp"] == 15
    assert set(written["dataCenterInfo"]["metadata"]) == {"instance-id", "public-ipv4", "availability-zone"}


def test_what_a_registry_said_can_be_read_back():
    assert standing_of(tree(full(), STANDING)) == STANDING
    assert standing_of({"leaseInfo": 3, "overriddenStatus": ["x"], "lastUpdatedTimestamp": "?"}) == Standing()


def test_a_clients_registration_names_virtual_addresses_and_zone():
    one = Instance(service="orders", id="i", host="h", port=80, address="10.0.0.1", zone="b", dirty_at=5)
    sent = registration(one)

    assert list(sent) == ["instance"]
    inner = sent["instance"]
    assert inner["vipAddress"] == inner["secureVipAddress"] == "orders"
    assert inner["homePageUrl"] == "http://h:80/"
    assert inner["metadata"] == {"zone": "b"}
    assert "actionType" not in inner
    assert set(inner["leaseInfo"]) == {"renewalIntervalInSecs", "durationInSecs"}
    back = json.read_instance(orjson.dumps(sent))
    assert (back.service, back.id, back.host, back.port, back.zone) == ("orders", "i", "h", 80, "b")
    assert vips(back) == (("orders",), ("orders",))


def test_a_clients_own_virtual_address_and_home_page_stay():
    one = Instance(
        service="orders", id="i", host="h", port=80, extra={"vipAddress": "a", "homePageUrl": "http://x/"}
    )
    inner = registration(one)["instance"]

    assert (inner["vipAddress"], inner["secureVipAddress"], inner["homePageUrl"]) == (
        "a",
        "orders",
        "http://x/",
    )
    assert inner["ipAddr"] == "h"


def test_lease_lengths_below_a_second_do_not_become_eurekas_default():
    one = Instance(service="s", id="i", host="h", port=80, renew_every=0.2, expire_after=0.6)

    assert tree(one)["leaseInfo"] == {"renewalIntervalInSecs": 1, "durationInSecs": 1}


@pytest.mark.parametrize(
    ("plain", "plain_on", "tls", "tls_on", "port", "secure"),
    [
        (80, True, 443, False, 80, False),
        (80, True, 443, True, 80, False),
        (80, False, 443, True, 443, True),
        (80, False, 443, False, 80, False),
        (443, False, 443, True, 443, True),
    ],
)
def test_the_secure_port_is_called_only_if_it_alone_is_on(plain, plain_on, tls, tls_on, port, secure):
    pair = ({"$": plain, "@enabled": str(plain_on).lower()}, {"$": tls, "@enabled": str(tls_on).lower()})
    one = instance_of(minimal(port=pair[0], securePort=pair[1]))

    assert (one.port, one.secure) == (port, secure)
    assert ports(one) == pair


def test_a_secure_instance_of_ours_shows_its_port_as_both():
    one = Instance(service="s", id="i", host="h", port=8443, secure=True)

    assert ports(one) == ({"$": 8443, "@enabled": "false"}, {"$": 8443, "@enabled": "true"})


def test_ports_follow_the_instance_when_it_moved():
    moved = dataclasses.replace(instance_of(minimal(port={"$": 80, "@enabled": False})), port=81)

    assert ports(moved)[0] == {"$": 81, "@enabled": "true"}


def test_virtual_addresses_are_split_as_they_were_sent():
    assert vips(instance_of(minimal(vipAddress="a,,b:80", secureVipAddress="c"))) == (("a", "b:80"), ("c",))
    assert vips(instance_of(minimal())) == ((), ())


def test_a_zone_comes_from_metadata_before_amazon():
    amazon = {"name": "Amazon", "metadata": {"availability-zone": "a1"}}

    assert instance_of(minimal(dataCenterInfo=amazon)).zone == "a1"
    assert instance_of(minimal(dataCenterInfo=amazon, metadata={"zone": "m"})).zone == "m"
    assert instance_of(minimal()).zone == "default"
    # Amazon's zone is told once, not copied into the metadata.
    assert "zone" not in tree(instance_of(minimal(dataCenterInfo=amazon)))["metadata"]


def test_metadata_cannot_be_changed_after_reading():
    one = instance_of(minimal(metadata={"a": "1"}))

    with pytest.raises(TypeError):
        one.metadata["a"] = "2"


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@patient
@given(st.dictionaries(st.sampled_from([*MEMBERS, "overriddenstatus"]), JSONISH), st.booleans())
def test_any_tree_is_an_instance_or_a_wire_error(changes, trusted):
    sent = {**minimal(), **changes}
    try:
        one = instance_of(sent, trusted=trusted, now_ms=1000)
    except WireError:
        return
    assert json.read_instance(json.document("instance", json.write_instance(tree(one))), trusted=trusted)
