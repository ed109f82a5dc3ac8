"""Messages in the shape that real clients and servers send, with invented values; and random instances."""

from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from resilient.errors import WireError
from resilient.eureka.reading import data_centre, instance_of, port_pair
from resilient.model import Instance, Status

# Building the tables of characters takes hypothesis a second, the first time on a machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DEFAULT_CLASS = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
AMAZON_CLASS = "com.netflix.appinfo.AmazonInfo"

REGISTRATION = b"""{"instance":{"instanceId":"node-7.example.net:orders:8080","hostName":"node-7.example.net",
 "app":"ORDERS","ipAddr":"10.20.30.7","status":"UP","overriddenstatus":"UNKNOWN",
 "port":{"$":8080,"@enabled":"true"},"securePort":{"$":8443,"@enabled":"false"},"countryId":1,
 "dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},
 "leaseInfo":{"renewalIntervalInSecs":10,"durationInSecs":40},"metadata":{"zone":"rack-a"},
 "homePageUrl":"http://node-7.example.net:8080/","statusPageUrl":"http://node-7.example.net:8080/info",
 "healthCheckUrl":"http://node-7.example.net:8080/health","vipAddress":"orders","secureVipAddress":"orders",
 "lastUpdatedTimestamp":"1893456000123","lastDirtyTimestamp":"1893456000123",
 "isCoordinatingDiscoveryServer":"false"}}"""

REGISTRATION_XML = b"""<instance>
  <instanceId>node-7.example.net:orders:8080</instanceId>
  <hostName>node-7.example.net</hostName>
  <app>ORDERS</app>
  <ipAddr>10.20.30.7</ipAddr>
  <status>UP</status>
  <overriddenstatus>UNKNOWN</overriddenstatus>
  <port enabled="true">8080</port>
  <securePort enabled="false">8443</securePort>
  <countryId>1</countryId>
  <dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo">
    <name>MyOwn</name>
  </dataCenterInfo>
  <leaseInfo>
    <renewalIntervalInSecs>10</renewalIntervalInSecs>
    <durationInSecs>40</durationInSecs>
  </leaseInfo>
  <metadata>
    <zone>rack-a</zone>
  </metadata>
  <homePageUrl>http://node-7.example.net:8080/</homePageUrl>
  <statusPageUrl>http://node-7.example.net:8080/info</statusPageUrl>
  <healthCheckUrl>http://node-7.example.net:8080/health</healthCheckUrl>
  <vipAddress>orders</vipAddress>
  <secureVipAddress>orders</secureVipAddress>
  <lastDirtyTimestamp>1893456000123</lastDirtyTimestamp>
</instance>"""

# What the Spring client sends: nulls, real booleans, numbers for timestamps.
SPRING = b"""{"instance":{"instanceId":"box:orders:8080","app":"ORDERS","appGroupName":null,
 "ipAddr":"10.20.30.9","sid":"na","homePageUrl":"http://box:8080/","statusPageUrl":null,
 "healthCheckUrl":null,"secureHealthCheckUrl":null,"vipAddress":"orders","secureVipAddress":"orders",
 "countryId":1,"dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
 "name":"MyOwn"},"hostName":"box","status":"UP","overriddenStatus":"UNKNOWN",
 "leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":0,
 "lastRenewalTimestamp":0,"evictionTimestamp":0,"serviceUpTimestamp":0},
 "isCoordinatingDiscoveryServer":false,"lastUpdatedTimestamp":1893456000001,
 "lastDirtyTimestamp":1893456000002,"actionType":null,"asgName":null,
 "port":{"$":8080,"@enabled":true},"securePort":{"$":443,"@enabled":false},
 "metadata":{"management.port":"8080","gone":null}}}"""

# A common configuration of the Node client: no class, a bare port, numbers in metadata.
NODE = b"""{"instance":{"app":"jq","hostName":"node-js","ipAddr":"10.20.30.4","port":8080,
 "vipAddress":"jq.example.net","dataCenterInfo":{"name":"MyOwn"},"status":"UP",
 "metadata":{"weight":3,"canary":true}}}"""

SMALLEST = b"""{"instance":{"hostName":"h1","app":"ORDERS","ipAddr":"10.0.0.1","dataCenterInfo":
 {"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"}}}"""

AMAZON = b"""{"instance":{"hostName":"ec2-1.example.net","app":"BILLING","ipAddr":"10.20.30.3",
 "dataCenterInfo":{"@class":"com.netflix.appinfo.AmazonInfo","name":"Amazon","metadata":{
 "instance-id":"i-0123abcd","availability-zone":"xx-test-1a","mac":"02:00:5e:00:53:01"}}}}"""

DELTA = b"""{"applications":{"versions__delta":"42","apps__hashcode":"DOWN_1_UP_5_","application":[
 {"name":"ORDERS","instance":[{"instanceId":"n8:orders:8080","hostName":"n8.example.net","app":"ORDERS",
 "ipAddr":"10.20.30.8","status":"DOWN","overriddenStatus":"DOWN","port":{"$":8080,"@enabled":"true"},
 "securePort":{"$":443,"@enabled":"false"},"countryId":1,"dataCenterInfo":
 {"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},
 "leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":1893456001000,
 "lastRenewalTimestamp":1893456121000,"evictionTimestamp":0,"serviceUpTimestamp":1893456001000},
 "metadata":{"@class":"java.util.Collections$EmptyMap"},"vipAddress":"orders",
 "isCoordinatingDiscoveryServer":"false","lastUpdatedTimestamp":"1893456090000",
 "lastDirtyTimestamp":"1893456000950","actionType":"MODIFIED"}]},
 {"name":"BILLING","instance":[{"instanceId":"n3:billing:9000","hostName":"n3.example.net","app":"BILLING",
 "ipAddr":"10.20.30.3","status":"UP","overriddenStatus":"UNKNOWN","port":{"$":9000,"@enabled":"true"},
 "securePort":{"$":443,"@enabled":"false"},"countryId":1,"dataCenterInfo":
 {"@class":"com.netflix.appinfo.AmazonInfo","name":"Amazon","metadata":
 {"instance-id":"i-0123abcd4567ef890","availability-zone":"xx-test-1a"}},
 "metadata":{"@class":"java.util.Collections$EmptyMap"},"vipAddress":"billing",
 "lastUpdatedTimestamp":"1893456110000","lastDirtyTimestamp":"1893456001900","actionType":"DELETED"}]}]}}"""

DELTA_XML = b"""<applications>
  <versions__delta>42</versions__delta>
  <apps__hashcode>DOWN_1_UP_5_</apps__hashcode>
  <application>
    <name>ORDERS</name>
    <instance>
      <instanceId>n8:orders:8080</instanceId><hostName>n8.example.net</hostName><app>ORDERS</app>
      <ipAddr>10.20.30.8</ipAddr><status>DOWN</status><overriddenstatus>DOWN</overriddenstatus>
      <port enabled="true">8080</port><securePort enabled="false">443</securePort><countryId>1</countryId>
      <dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo">
        <name>MyOwn</name>
      </dataCenterInfo>
      <metadata class="java.util.Collections$EmptyMap"/>
      <vipAddress>orders</vipAddress><lastDirtyTimestamp>1893456000950</lastDirtyTimestamp>
      <actionType>MODIFIED</actionType>
    </instance>
  </application>
  <application>
    <name>BILLING</name>
    <instance>
      <instanceId>n3:billing:9000</instanceId><hostName>n3.example.net</hostName><app>BILLING</app>
      <ipAddr>10.20.30.3</ipAddr><status>UP</status><overriddenstatus>UNKNOWN</overriddenstatus>
      <port enabled="true">9000</port><securePort enabled="false">443</securePort>
      <dataCenterInfo class="com.netflix.appinfo.AmazonInfo">
        <name>Amazon</name>
        <metadata>
          <instance-id>i-0123abcd4567ef890</instance-id><availability-zone>xx-test-1a</availability-zone>
        </metadata>
      </dataCenterInfo>
      <vipAddress>billing</vipAddress><lastDirtyTimestamp>1893456001900</lastDirtyTimestamp>
      <actionType>DELETED</actionType>
    </instance>
  </application>
</applications>"""

BATCH = b"""{"replicationList":[
 {"appName":"ORDERS","id":"n7:orders:8080","lastDirtyTimestamp":1893456000123,"status":"UP",
  "instanceInfo":{"instanceId":"n7:orders:8080","hostName":"n7.example.net","app":"ORDERS",
  "ipAddr":"10.20.30.7","dataCenterInfo":{"name":"MyOwn"}},"action":"Register"},
 {"appName":"ORDERS","id":"n8:orders:8080","lastDirtyTimestamp":1893456000456,
  "overriddenStatus":"OUT_OF_SERVICE","status":"OUT_OF_SERVICE","action":"Heartbeat"},
 {"appName":"BILLING","id":"n3:billing:9000","action":"Cancel"},
 {"appName":"BILLING","id":"n4:billing:9000","lastDirtyTimestamp":1893456000789,"status":"DOWN",
  "action":"StatusUpdate"},
 {"appName":"BILLING","id":"n5:billing:9000","lastDirtyTimestamp":1893456000790,"status":"UNKNOWN",
  "action":"DeleteStatusOverride"}]}"""


def minimal(**changes: object) -> dict[str, object]:
    """The smallest registration, with fields changed or (None) taken away."""
    tree: dict[str, object] = {
        "hostName": "h1",
        "app": "ORDERS",
        "ipAddr": "10.0.0.1",
        "dataCenterInfo": {"name": "MyOwn"},
    }
    tree.update(changes)
    return {key: value for key, value in tree.items() if value is not None}


def refused(**changes: object) -> str:
    with pytest.raises(WireError) as caught:
        instance_of(minimal(**changes))
    return str(caught.value)


def accepted(**changes: object) -> Instance:
    return instance_of(minimal(**changes))


def listed(**changes: object) -> Instance:
    return instance_of(minimal(**changes), trusted=True)


_NAME = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
_HOST = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{1,5}){0,2}", fullmatch=True)
# Any text that XML can carry too: the rest is shown with replacements there.
_XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
        lambda char: char >= " " or char in "\t\n\r"
    ),
    max_size=20,
)
_ANY_KEY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda key: key not in ("@class", "zone")
)
_PORT = st.integers(0, 65535)


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    """Instances as a registry holds them: everything that can be on the wire, in any combination."""
    extra: dict[str, object] = {}
    plain, tls = draw(_PORT), draw(_PORT)
    port, secure = plain, False
    kind = draw(st.sampled_from(["plain", "both", "secure", "neither"]))
    if kind == "secure":
        port, secure = tls, True
        if plain != tls:
            extra["port"] = port_pair(plain, False)
    elif kind == "neither":
        extra["port"] = port_pair(plain, False)
    if kind == "both" or (kind in ("plain", "neither") and tls != 7002):
        extra["securePort"] = port_pair(tls, kind == "both")
    metadata = draw(st.dictionaries(_ANY_KEY, _XML_TEXT, max_size=4))
    zone = draw(st.sampled_from(["default", "rack-a", "zone é"]))
    identity = draw(st.from_regex(r"[A-Za-z0-9:.#\[\]?!_-]{3,40}", fullmatch=True))
    if zone != "default":
        metadata["zone"] = zone
    elif draw(st.booleans()):
        zone = "xx-1a"
        extra["dataCenterInfo"] = data_centre(
            {"instance-id": identity, "availability-zone": zone, "a_$": "1"}
        )
    for name in ("asgName", "sid"):
        if draw(st.booleans()):
            extra[name] = draw(_NAME.filter(lambda text: text not in ("na", "unknown")))
    if draw(st.booleans()):
        extra["appGroupName"] = draw(_NAME).upper()
    for name in ("vipAddress", "secureVipAddress"):
        if draw(st.booleans()):
            extra[name] = ",".join(draw(st.lists(_NAME, min_size=1, max_size=3)))
    for name in ("homePageUrl", "statusPageUrl", "healthCheckUrl", "secureHealthCheckUrl"):
        if draw(st.booleans()):
            extra[name] = f"https://{draw(_HOST)}/{draw(_NAME)}?a=1&b=%3C"
    if draw(st.booleans()):
        extra["countryId"] = draw(st.integers(2, 900))
    if draw(st.booleans()):
        extra["overriddenStatus"] = draw(st.sampled_from(["UP", "DOWN", "OUT_OF_SERVICE"]))
    return Instance(
        service=draw(_NAME),
        id=identity,
        host=draw(_HOST),
        port=port,
        address=draw(st.ip_addresses().map(str)),
        secure=secure,
        status=draw(st.sampled_from(Status)),
        zone=zone,
        metadata=MappingProxyType(metadata),
        renew_every=draw(st.integers(1, 86_400)),
        expire_after=draw(st.integers(1, 86_400)),
        dirty_at=draw(st.integers(0, 2**63 - 1)),
        extra=extra,
    )
