"""What `differential` asks, in order: later requests build on earlier ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = {"Accept": "application/json"}
XML = {"Accept": "application/xml"}
JSON_BODY = {"Content-Type": "application/json"}
XML_BODY = {"Content-Type": "application/xml"}
DEFAULT = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
STAMP = 1_700_000_000_000
#: An identity that no URL and no XML name bears as it is.
ODD = "test#1.[3.?]!"
ODD_PATH = "test%231.%5B3.%3F%5D%21"
SLASHED = "a/b"
SLASHED_PATH = "a%2Fb"


@dataclass(frozen=True)
class Case:
    """One request. ``name`` is what docs/compatibility.md calls a difference."""

    name: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


def instance(app: str = "ORDERS", id: str | None = "h1:orders:8080", **changes: Any) -> dict[str, Any]:
    """What a client registers; a change to ``...`` leaves the member out."""
    whole = {
        "instanceId": id,
        "hostName": "h1",
        "app": app,
        "ipAddr": "10.0.0.1",
        "status": "UP",
        "overriddenstatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 8443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {"@class": DEFAULT, "name": "MyOwn"},
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90},
        "metadata": {"zone": "rack-a", "rack_id": "7", "$price": "9"},
        "appGroupName": "SHOP",
        "homePageUrl": "http://h1:8080/",
        "statusPageUrl": "http://h1:8080/info",
        "healthCheckUrl": "http://h1:8080/health",
        "vipAddress": "orders",
        "secureVipAddress": "orders-tls",
        "lastUpdatedTimestamp": str(STAMP),
        "lastDirtyTimestamp": str(STAMP),
        "isCoordinatingDiscoveryServer": "false",
    } | changes
    return {key: value for key, value in whole.items() if value is not ... and (key != "instanceId" or value)}


def post(name: str, body: Any, app: str = "ORDERS", headers: dict[str, str] = JSON_BODY) -> Case:
    data = body if isinstance(body, bytes) else json.dumps({"instance": body}).encode()
    return Case(name, "POST", f"apps/{app}", headers, data)


def read(name: str, path: str) -> Iterator[Case]:
    """The same in both formats."""
    yield Case(f"{name}, JSON", "GET", path, JSON)
    yield Case(f"{name}, XML", "GET", path, XML)


def cases() -> Iterator[Case]:
    yield from _empty()
    yield from _registrations()
    yield from _reads()
    yield from _heartbeats()
    yield from _overrides()
    yield from _batches()
    yield from _leaving()
    # From here on the two registries hold different things, so that lists are no longer compared.
    yield from _metadata()
    yield from _tolerance()
    yield from _refusals()
    yield from _lasting()


def _empty() -> Iterator[Case]:
    yield from read("nobody there", "apps")
    yield from read("nobody there, delta", "apps/delta")
    yield Case("no Accept", "GET", "apps/")
    yield Case("Accept of a browser", "GET", "apps", {"Accept": "text/html"})
    yield Case("unknown application", "GET", "apps/NOBODY", JSON)
    yield Case("unknown instance", "GET", "apps/NOBODY/x", JSON)
    yield Case("unknown instance anywhere", "GET", "instances/x", JSON)
    yield Case("unknown path", "GET", "nothing/here", JSON)
    yield Case("unknown method", "POST", "apps/ORDERS/x", JSON_BODY, b"{}")


def _registrations() -> Iterator[Case]:
    yield post("registration", instance())
    yield post("registration again", instance())
    yield post(
        "registration with an older stamp", instance(hostName="older", lastDirtyTimestamp=str(STAMP - 5))
    )
    xml = (
        "<instance><instanceId>h2:orders:8080</instanceId><hostName>h2</hostName><app>orders</app>"
        "<ipAddr>10.0.0.2</ipAddr><status>UP</status><port enabled='true'>8080</port>"
        f"<dataCenterInfo class='{DEFAULT}'><name>MyOwn</name></dataCenterInfo>"
        "<metadata><rack__id>7</rack__id></metadata><vipAddress>orders</vipAddress></instance>"
    )
    yield post("registration in XML", xml.encode(), headers=XML_BODY)
    minimal = {"hostName": "h3", "app": "billing", "ipAddr": "10.0.0.3"}
    yield post(
        "smallest registration", minimal | {"dataCenterInfo": {"@class": DEFAULT, "name": "MyOwn"}}, "billing"
    )
    amazon = {
        "@class": "com.netflix.appinfo.AmazonInfo",
        "name": "Amazon",
        "metadata": {"instance-id": "i-1", "availability-zone": "xx-1a", "public-hostname": "h4"},
    }
    yield post(
        "registration on Amazon", instance("STOCK", None, dataCenterInfo=amazon, hostName="h4"), "STOCK"
    )
    yield post("registration with an odd id", instance("ODD", ODD, vipAddress="a,b"), "ODD")


def _reads() -> Iterator[Case]:
    yield from read("everything", "apps")
    yield from read("changes", "apps/delta")
    yield from read("an application", "apps/orders")
    yield from read("an instance", "apps/ORDERS/h1:orders:8080")
    yield from read("an Amazon instance", "apps/STOCK/i-1")
    yield from read("an instance anywhere", "instances/h3")
    yield from read("a virtual address", "vips/orders")
    yield from read("one of two virtual addresses", "vips/a")
    yield from read("an unknown virtual address", "vips/nobody")
    yield from read("a secure virtual address", "svips/orders-tls")
    yield Case("colons escaped", "GET", "apps/ORDERS/h1%3Aorders%3A8080", JSON)
    yield Case("an odd id in a path", "GET", f"apps/ODD/{ODD_PATH}", JSON)
    yield Case("compact", "GET", "apps/ORDERS", JSON | {"X-Eureka-Accept": "compact"})
    yield Case("gzip", "GET", "apps", JSON | {"Accept-Encoding": "gzip"})
    yield Case("gzip of an application", "GET", "apps/ORDERS", JSON | {"Accept-Encoding": "gzip"})
    yield Case("version 2 in the path", "GET", "/eureka/v2/apps/ORDERS", JSON)
    yield Case("a slash at the end", "GET", "apps/ORDERS/", JSON)
    yield Case("two slashes", "GET", "/eureka//apps/ORDERS", JSON)
    yield Case("a region nobody knows", "GET", "apps?regions=nowhere", JSON)
    yield Case("changes of a region nobody knows", "GET", "apps/delta?regions=nowhere,here", JSON)
    yield Case("a virtual address of a region nobody knows", "GET", "vips/orders?regions=nowhere", JSON)


def _heartbeats() -> Iterator[Case]:
    one = "apps/ORDERS/h1:orders:8080"
    yield Case("heartbeat", "PUT", one)
    yield Case(
        "heartbeat as Java sends it", "PUT", f"{one}?status=UP&lastDirtyTimestamp={STAMP}", JSON_BODY, b"{}"
    )
    yield Case("heartbeat with an older stamp", "PUT", f"{one}?status=UP&lastDirtyTimestamp={STAMP - 1}")
    yield Case("heartbeat with a newer stamp", "PUT", f"{one}?status=UP&lastDirtyTimestamp={STAMP + 1}")
    yield Case("heartbeat with a bad stamp", "PUT", f"{one}?lastDirtyTimestamp=soon")
    peer = JSON | {"x-netflix-discovery-replication": "true"}
    yield Case("a peer's heartbeat with an older stamp", "PUT", f"{one}?lastDirtyTimestamp={STAMP - 1}", peer)
    yield Case("heartbeat of nobody", "PUT", "apps/ORDERS/nobody?status=UP")
    yield Case("heartbeat of no application", "PUT", "apps/NOBODY/nobody?status=UP")
    yield Case("heartbeat of an odd id", "PUT", f"apps/ODD/{ODD_PATH}")


def _overrides() -> Iterator[Case]:
    one = "apps/ORDERS/h1:orders:8080"
    yield Case("override", "PUT", f"{one}/status?value=OUT_OF_SERVICE")
    yield from read("an overridden instance", one)
    yield Case("overrides", "GET", "/eureka/serverinfo/statusoverrides", JSON)
    yield Case("heartbeat under an override", "PUT", f"{one}?status=UP&lastDirtyTimestamp={STAMP}")
    yield post("registration under an override", instance(lastDirtyTimestamp=str(STAMP + 10)))
    yield from read("an overridden instance, registered again", one)
    yield Case("override with a bad status", "PUT", f"{one}/status?value=AWAY")
    yield Case("override without a status", "PUT", f"{one}/status")
    yield Case("override of nobody", "PUT", "apps/ORDERS/nobody/status?value=UP")
    yield Case("override taken back, with a status", "DELETE", f"{one}/status?value=UP")
    yield from read("an instance whose override was taken back", one)
    yield Case("override to the present status", "PUT", f"{one}/status?value=UP")
    yield from read("an instance overridden with the present status", one)
    yield Case("override taken back when there is none", "DELETE", f"{one}/status")
    yield Case("heartbeat after an override with the present status", "PUT", one)
    yield Case("second override", "PUT", f"{one}/status?value=DOWN")
    yield Case("override taken back", "DELETE", f"{one}/status")
    yield Case("heartbeat after an override was taken back", "PUT", one)
    yield Case("an instance nobody knows the status of", "GET", one, JSON)
    yield post("registration after an override was taken back", instance(lastDirtyTimestamp=str(STAMP + 20)))
    yield Case("the status it then has", "GET", one, JSON)
    yield Case("override of nobody taken back", "DELETE", "apps/ORDERS/nobody/status")


def _metadata() -> Iterator[Case]:
    yield post("registration before metadata", instance("SET", "set"), "SET")
    yield Case("metadata", "PUT", "apps/SET/set/metadata?canary=yes&zone=rack-b")
    yield from read("an instance with other metadata", "apps/SET/set")
    yield Case("metadata of nobody", "PUT", "apps/SET/nobody/metadata?canary=yes")
    yield post(
        "registration after metadata", instance("SET", "set", lastDirtyTimestamp=str(STAMP + 30)), "SET"
    )
    yield Case("metadata after a registration", "GET", "apps/SET/set", JSON)


def _tolerance() -> Iterator[Case]:
    """Registrations that are not quite right, each followed by a look at what was made of it."""

    def tried(name: str, changes: dict[str, Any]) -> Iterator[Case]:
        id = name.replace(" ", "-")
        yield post(name, instance("TRIED", id, hostName=id) | changes, "TRIED")
        yield Case(f"{name}, as it is listed", "GET", f"apps/TRIED/{id}", JSON)

    def told(name: str, id: str, **changes: Any) -> Iterator[Case]:
        """The id is in the metadata only."""
        host = name.replace(" ", "-")
        yield post(name, instance("TRIED", None, hostName=host, **changes), "TRIED")
        yield Case(f"{name}, as it is listed", "GET", f"apps/TRIED/{id}", JSON)
        yield Case(f"{name}, heartbeat", "PUT", f"apps/TRIED/{id}")

    nothing = dict.fromkeys(
        ("sid", "asgName", "homePageUrl", "secureHealthCheckUrl", "actionType", "appGroupName")
    )
    yield from tried("members that are null", nothing)
    yield from tried("an unknown member", {"colour": "blue"})
    yield from tried("an unknown object", {"colour": {"name": "blue"}})
    yield from tried("a port as a number", {"port": 8080})
    yield from tried("a port as text", {"port": {"$": "8080", "@enabled": True}})
    yield from tried("a bad port", {"port": {"$": "http", "@enabled": "true"}})
    yield from tried("stamps as numbers", {"lastDirtyTimestamp": STAMP, "lastUpdatedTimestamp": STAMP})
    yield from tried("a bad stamp", {"lastDirtyTimestamp": "soon"})
    yield from tried("status in lower case", {"status": "up"})
    yield from tried("a bad status", {"status": "AWAY"})
    yield from tried("no override member", {"overriddenstatus": ""})
    yield from tried("data centre without class", {"dataCenterInfo": {"name": "MyOwn"}})
    yield from tried(
        "data centre of an older class",
        {"dataCenterInfo": {"@class": "com.netflix.appinfo.MyDataCenterInfo", "name": "MyOwn"}},
    )
    yield from tried(
        "data centre with more in it",
        {"dataCenterInfo": {"@class": DEFAULT, "name": "MyOwn", "metadata": {"a": "b"}}},
    )
    yield from tried("no metadata", {"metadata": {}})
    yield from tried("numbers in metadata", {"metadata": {"weight": 7, "canary": True}})
    yield from tried("an object in metadata", {"metadata": {"weight": {"a": 1}}})
    yield from tried("lease of no duration", {"leaseInfo": {"renewalIntervalInSecs": 0, "durationInSecs": 0}})
    yield from tried("a blank in the id", {"instanceId": "a b"})
    yield from tried("a bad host name", {"hostName": "a host"})
    yield from tried("a host name with an underscore", {"hostName": "a_host"})
    yield from tried("a bad home page", {"homePageUrl": "javascript:alert(1)"})
    yield from tried("not up yet", {"status": "STARTING"})
    whole = "a-whole-id-in-the-metadata:orders:7"
    yield from told(
        "half of an id in the metadata", "half-of-an-id-in-the-metadata:7", metadata={"instanceId": "7"}
    )
    yield from told("a whole id in the metadata", whole, metadata={"instanceId": whole})
    amazon = {
        "@class": "com.netflix.appinfo.AmazonInfo",
        "name": "Amazon",
        "metadata": {"instance-id": "i-7"},
    }
    yield from told(
        "an id in the metadata on Amazon", "i-7", metadata={"instanceId": "7"}, dataCenterInfo=amazon
    )


def _refusals() -> Iterator[Case]:
    for member in ("hostName", "ipAddr", "dataCenterInfo"):
        yield post(f"no {member}", instance(**{member: ...}))
    yield post("no app", instance(app=...))
    yield post("no name of the data centre", instance(dataCenterInfo={"@class": DEFAULT}))
    yield post("unknown data centre", instance(dataCenterInfo={"@class": "x.Y", "name": "Moon"}))
    yield post("another app than in the path", instance("STOCK"))
    yield post("no wrapper", json.dumps(instance()).encode())
    yield post("no JSON", b"{not json")
    yield post("an empty body", b"")
    yield post("another kind of content", instance(), headers={"Content-Type": "text/plain"})
    yield post("XML that is none", b"<instance>", headers=XML_BODY)
    document = b'<!DOCTYPE instance [<!ENTITY e "x">]><instance><app>&e;</app></instance>'
    yield post("XML with entities", document, headers=XML_BODY)
    yield Case("auto scaling group", "PUT", "asg/group/status?value=ENABLED", {}, b"")


def _batches() -> Iterator[Case]:
    def batch(name: str, body: Any) -> Case:
        data = body if isinstance(body, bytes) else json.dumps({"replicationList": body}).encode()
        return Case(name, "POST", "peerreplication/batch/", JSON | JSON_BODY, data)

    one = {"appName": "PEERS", "id": "p1", "lastDirtyTimestamp": STAMP, "status": "UP"}
    register = one | {"action": "Register", "instanceInfo": instance("PEERS", "p1")}
    yield batch("a peer's registration", [register])
    yield batch(
        "a peer's five words",
        [
            one | {"action": "Heartbeat"},
            one | {"action": "Heartbeat", "lastDirtyTimestamp": STAMP + 1},
            one | {"action": "Heartbeat", "id": "nobody"},
            one | {"action": "StatusUpdate", "status": "DOWN"},
            one | {"action": "DeleteStatusOverride", "status": "UP"},
            one | {"action": "Cancel", "id": "nobody"},
            one | {"action": "Cancel"},
        ],
    )
    late = one | {"id": "p3", "instanceInfo": instance("PEERS", "p3")}
    behind = {"action": "Heartbeat", "lastDirtyTimestamp": STAMP - 1}
    yield batch("a peer behind", [late | {"action": "Register"}, late | behind])
    yield batch("a peer's registration of nothing", [one | {"action": "Register"}])
    yield batch(
        "a peer's bad registration", [register | {"instanceInfo": instance("PEERS", "p2", hostName=...)}]
    )
    yield batch("a peer with nothing to say", [])
    yield batch("a peer's unknown word", [one | {"action": "Sing"}])
    yield batch("a batch without a list", b"{}")
    yield batch("a batch that is no JSON", b"{not json")
    yield Case("a peer's instance signed out", "DELETE", "apps/PEERS/p3")


def _leaving() -> Iterator[Case]:
    yield Case("sign-out", "DELETE", "apps/ORDERS/h1:orders:8080")
    yield Case("second sign-out", "DELETE", "apps/ORDERS/h1:orders:8080")
    yield Case("heartbeat after sign-out", "PUT", "apps/ORDERS/h1:orders:8080")
    yield Case("sign-out of an odd id", "DELETE", f"apps/ODD/{ODD_PATH}")
    yield from read("what is left", "apps")
    yield from read("what changed meanwhile", "apps/delta")


def _lasting() -> Iterator[Case]:
    yield post("late registration", instance(lastDirtyTimestamp=str(STAMP + 20)))
    yield Case("late registration, what it did", "GET", "apps/ORDERS/h1:orders:8080", JSON)
    yield post("registration with a slash in its id", instance("SLASHED", SLASHED), "SLASHED")
    yield Case("a slash in an id", "GET", f"apps/SLASHED/{SLASHED_PATH}", JSON)
    yield Case("a slash in an id, sign-out", "DELETE", f"apps/SLASHED/{SLASHED_PATH}")
    yield Case("the registry's own state", "GET", "status", JSON)
    # Last, for it is what Netflix's server does not get over.
    poison = instance("POISON", "p", dataCenterInfo={"@class": DEFAULT, "name": "Amazon"})
    yield post("registration by an Amazon of the wrong class", poison, "POISON")
    yield from read("Amazon by name only", "apps")
