from __future__ import annotations

import socket

import pytest

from resilient.errors import ConfigError
from resilient.identity import address_towards, bind_and_show, listening_ports, me, the_port
from resilient.settings import Settings

PLAIN = Settings.load({})


def test_one_id_per_address() -> None:
    one = me("Orders ", host="10.0.0.7", port=8080, settings=PLAIN)
    assert (one.service, one.id, one.url) == ("orders", "10.0.0.7:orders:8080", "http://10.0.0.7:8080")
    assert one.extra["homePageUrl"] == "http://10.0.0.7:8080/"
    assert one.extra["healthCheckUrl"] == "http://10.0.0.7:8080/health"
    assert one.extra["vipAddress"] == "orders"
    assert one.metadata == {}


def test_settings_and_arguments_make_the_metadata() -> None:
    settings = Settings.load({"RESILIENT_ZONE": "z1", "RESILIENT_METADATA": "version=1,team=a"})
    one = me("orders", host="h", port=1, settings=settings, metadata={"version": "2"}, secure=True)
    assert one.metadata == {"zone": "z1", "version": "2", "team": "a"}
    assert (one.zone, one.secure, one.url) == ("z1", True, "https://h:1")
    assert one.extra["homePageUrl"] == "https://h:1/"


def test_an_ipv6_address_stands_in_brackets() -> None:
    one = me("orders", host="2001:db8::7", port=80, settings=PLAIN)
    assert one.url == "http://[2001:db8::7]:80"
    assert one.extra["statusPageUrl"] == "http://[2001:db8::7]:80/admin/info"


@pytest.mark.parametrize("name", ["", "  ", "my orders", "a/b", "a?b", "a#b", "a\nb"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ConfigError, match="needs a name"):
        me(name, host="h", port=1, settings=PLAIN)


def test_the_port_this_process_listens_on() -> None:
    before = {port for _, port in listening_ports()}
    assert the_port("orders", ours=before) is None
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        assert the_port("orders", ours=before) == port
        assert ("127.0.0.1", port) in listening_ports()
        with socket.create_connection(("127.0.0.1", port)):  # a connection is no listener
            assert the_port("orders", ours=before) == port
        with socket.create_server(("127.0.0.1", 0)) as two:
            with pytest.raises(ConfigError, match=r"several ports \(\d+, \d+\); say which: port="):
                the_port("orders", ours=before)
            assert the_port("orders", ours={*before, two.getsockname()[1]}) == port
    assert the_port("orders", ours=before) is None


def test_one_port_on_two_addresses_is_one() -> None:
    before = {port for _, port in listening_ports()}
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)):
            assert the_port("orders", ours=before) == port


def test_looking_leaves_every_socket_as_it_was() -> None:
    left, right = socket.socketpair()
    with left, right:
        for _ in range(3):
            listening_ports()
        left.sendall(b"still open")
        assert right.recv(100) == b"still open"


def test_the_address_towards_a_registry() -> None:
    assert address_towards(["http://127.0.0.1:8761/eureka/"]) == "127.0.0.1"
    assert address_towards([]) == "127.0.0.1"
    assert address_towards(["http://does-not-exist.invalid/", "http://127.0.0.1/"]) == "127.0.0.1"


@pytest.mark.parametrize(
    ("wished", "environment", "bound", "shown"),
    [
        (None, {}, "127.0.0.1", "127.0.0.1"),  # where the registry is reached: nobody else can
        ("10.0.0.7", {}, "10.0.0.7", "10.0.0.7"),
        (None, {"RESILIENT_HOST": "10.0.0.8"}, "10.0.0.8", "10.0.0.8"),
        ("10.0.0.7", {"RESILIENT_HOST": "10.0.0.8"}, "10.0.0.7", "10.0.0.7"),
        ("0.0.0.0", {}, "0.0.0.0", "127.0.0.1"),
        ("::", {}, "::", "127.0.0.1"),
        (None, {"RESILIENT_HOST": "0.0.0.0"}, "0.0.0.0", "127.0.0.1"),
    ],
)
def test_where_to_listen_and_what_to_tell(
    wished: str | None, environment: dict[str, str], bound: str, shown: str
) -> None:
    urls = ["http://127.0.0.1:8761/eureka/"]
    assert bind_and_show(wished, Settings.load(environment), urls) == (bound, shown)
