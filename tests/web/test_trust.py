import base64

import pytest
from multidict import CIMultiDict

from resilient.clock import ManualClock
from resilient.errors import ConfigError
from resilient.web.trust import Failures, Trust, host_allowed, is_local_call, source, split_host

TOKEN = "correct-horse-battery"
READ = "may-only-look-around"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def headers(**more: str) -> CIMultiDict[str]:
    return CIMultiDict({"Host": "localhost:8761", **{k.replace("_", "-"): v for k, v in more.items()}})


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 15, "has a blank in it, somehow", "line\nbreak-and-more"]
)
def test_S06_weak_tokens_do_not_start(token: str) -> None:
    with pytest.raises(ConfigError):
        Trust(token)
    with pytest.raises(ConfigError):
        Trust(TOKEN, token)


def test_S06_sixteen_characters_do_and_two_equal_tokens_do_not() -> None:
    assert Trust("x" * 16).needs_token
    with pytest.raises(ConfigError):
        Trust(TOKEN, TOKEN)


@pytest.mark.parametrize(
    ("given", "full", "read"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, True, True),
        ({"Authorization": f"bearer  {TOKEN} "}, True, True),
        (basic("anybody", TOKEN), True, True),
        (basic("", TOKEN), True, True),
        ({"Authorization": f"Bearer {READ}"}, False, True),
        (basic("x", READ), False, True),
        ({"Authorization": "Bearer wrong"}, False, False),
        ({"Authorization": "Bearer"}, False, False),
        ({"Authorization": TOKEN}, False, False),
        ({"Authorization": "Basic !!!"}, False, False),
        ({"Authorization": "Basic " + "A" * 9000}, False, False),
        ({"Authorization": "Digest x"}, False, False),
        ({"Authorization": "Bearer \udcff\udcfe"}, False, False),
        (basic(TOKEN, ""), False, False),
        ({}, False, False),
    ],
)
def test_S03_bearer_and_basic_tokens(given: dict[str, str], full: bool, read: bool) -> None:
    caller = Trust(TOKEN, READ).caller("10.0.0.9", CIMultiDict(given))
    assert (caller.has_token, caller.has_read_token) == (full, read)
    assert caller.wrong_token == (bool(given) and not read)


def test_S05_identity_is_not_taken_from_other_headers() -> None:
    sent = CIMultiDict({"User-Agent": TOKEN, "X-Forwarded-User": TOKEN, "DiscoveryIdentity-Name": TOKEN})
    caller = Trust(TOKEN).caller("10.0.0.9", sent)
    assert not caller.has_token
    assert not caller.is_loopback


def test_without_tokens_nobody_has_one() -> None:
    caller = Trust().caller("10.0.0.9", CIMultiDict({"Authorization": "Bearer " + "\0" * 32}))
    assert not caller.has_token
    assert not caller.has_read_token


@pytest.mark.parametrize(
    ("peer", "host", "more", "local"),
    [
        ("127.0.0.1", "127.0.0.1:1", {}, True),
        ("127.8.9.1", "localhost", {}, True),
        ("::1", "[::1]:80", {}, True),
        ("::ffff:127.0.0.1", "LOCALHOST:80", {}, True),
        ("10.0.0.1", "localhost", {}, False),
        ("", "localhost", {}, False),
        ("127.0.0.1", "evil.example", {}, False),
        ("127.0.0.1", "127.0.0.1.evil.example", {}, False),
        ("127.0.0.1", "", {}, False),
        ("127.0.0.1", "localhost", {"X_Forwarded_For": "1.2.3.4"}, False),
        ("127.0.0.1", "localhost", {"x_forwarded_anything": "1"}, False),
        ("127.0.0.1", "localhost", {"FORWARDED": "for=1"}, False),
        ("127.0.0.1", "localhost", {"Via": "1.1 x"}, False),
        ("127.0.0.1", "localhost", {"Origin": "http://localhost"}, False),
    ],
)
def test_loopback_as_a_right(peer: str, host: str, more: dict[str, str], local: bool) -> None:
    sent = headers(**more)
    sent["Host"] = host
    assert is_local_call(peer, sent) is local


def test_S07_ten_failures_a_minute_then_429_for_that_address_only() -> None:
    clock = ManualClock()
    trust = Trust(TOKEN, clock=clock)
    wrong = CIMultiDict({"Authorization": "Bearer wrong-wrong-wrong"})
    right = CIMultiDict({"Authorization": f"Bearer {TOKEN}"})
    for _ in range(10):
        assert trust.caller("10.0.0.1", wrong).wrong_token
        clock.advance(1)
    blocked = trust.caller("10.0.0.1", right)
    assert not blocked.has_token
    assert blocked.retry_after == pytest.approx(50)
    assert trust.caller("10.0.0.2", right).has_token, "the account is never locked out"
    clock.advance(50)
    assert trust.caller("10.0.0.1", right).has_token


def test_S07_an_ipv6_network_is_one_caller() -> None:
    assert source("2001:db8::1") == source("2001:db8::ffff") != source("2001:db8:0:1::1")
    assert source("::ffff:10.0.0.1") == source("10.0.0.1") == "10.0.0.1"
    assert source("fe80::1%eth0") == "fe80::/64"


def test_S56_failures_stay_bounded() -> None:
    failures = Failures(ManualClock(), known=100)
    for i in range(10_000):
        failures.add(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
    assert len(failures) == 100


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("Orders.example:80", ("orders.example", 80)),
        ("a_b", ("a_b", None)),
        ("[::1]:8761", ("::1", 8761)),
        ("127.0.0.1:", ("127.0.0.1", None)),
        ("h:65535", ("h", 65535)),
        ("h:65536", None),
        ("h:-1", None),
        ("h:x", None),
        ("<script>", None),
        ("a@b", None),
        ("a/b", None),
        ("a b", None),
        ("[::1", None),
        ("[:::]", None),
        ("::1", None),
        (":80", None),
        ("", None),
        ("h\n", None),
        ("h" * 300, None),
        ("xn--é", None),
        ("h:\u0661", None),
    ],
)
def test_S13_host_header(value: str, parts: tuple[str, int | None] | None) -> None:
    assert split_host(value) == parts


def test_S13_hosts_that_nobody_can_rebind() -> None:
    assert host_allowed("localhost")
    assert host_allowed("10.1.2.3")
    assert host_allowed("::1")
    assert host_allowed("registry.internal", {"registry.internal"})
    assert not host_allowed("localhost.evil.example")
    assert not host_allowed("registry.internal")
