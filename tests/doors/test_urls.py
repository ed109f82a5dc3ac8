"""What is written in a URL, and where the request goes."""

from __future__ import annotations

import atexit
import functools
import logging
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from door_kit import Door, counts
from flaky import Flaky, Seen, Servers, answer

from resilient import NoInstance, Runtime
from resilient import door as door_module
from resilient.settings import Settings

Estate = Callable[..., tuple[Runtime, list[Flaky]]]


@functools.cache
def pem() -> str:
    """A certificate for localhost with its key, made for this run."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate to test TLS with")
    folder = Path(tempfile.mkdtemp(prefix="resilient-tls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    whole = folder / "localhost.pem"
    whole.write_text(key.read_text() + certificate.read_text())
    return str(whole)


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem())
    return context


def trusting(door: Door) -> dict[str, Any]:
    """The option with which a library trusts our certificate, and the environment for httpx."""
    if door.name.startswith("aiohttp"):
        return {"ssl": ssl.create_default_context(cafile=pem())}
    return {"verify": pem()} if door.name == "requests" else {}


def authority(flaky: Flaky) -> str:
    return flaky.url.partition("//")[2]


def test_path_and_query_arrive_as_they_were_written(session_door: Door, estate: Estate) -> None:
    _, (a,) = estate("ok")
    written = "/p%2Fq;v=1/%C3%A9'()*!?x=1%26&y=a+b%20c&empty="
    odd = "/a%2fb?z=%2f&z=%zz&[]"
    with session_door.opened():
        assert session_door.call(path=f"http://ORDERS{written}#fragment") == "200"
        assert session_door.call(path=f"http://orders{odd}") == "200"
        assert session_door.call(path=f"{a.url}{odd}") == "200"
    assert a.seen[0].target == written
    assert a.seen[0].headers["host"] == authority(a)
    assert a.seen[1].target == a.seen[2].target  # what the library itself makes of it, and no more


def test_a_host_header_of_the_callers_own_is_kept(session_door: Door, estate: Estate) -> None:
    _, (a, b) = estate("disconnect", "ok")
    with session_door.opened():
        assert session_door.call(headers={"Host": "shop.example"}) == "200"
    assert [one.seen[0].headers["host"] for one in (a, b)] == ["shop.example"] * 2


def test_each_try_names_its_own_instance(session_door: Door, estate: Estate) -> None:
    _, (a, b) = estate("disconnect", "ok")
    with session_door.opened():
        assert session_door.call() == "200"
    assert [one.seen[0].headers["host"] for one in (a, b)] == [authority(a), authority(b)]


def redirect(to: str) -> Callable[[Seen], bytes]:
    return lambda seen: answer(302, b"", Location=to) if seen.target == "/x" else answer()


def test_a_relative_redirect_is_balanced_again(session_door: Door, estate: Estate) -> None:
    runtime, (a, b) = estate(redirect("/y?z=1"), "ok", rule="round_robin")
    options = {"follow_redirects": True} if session_door.name.startswith("httpx") else {}
    with session_door.opened():
        while not a.reached:
            assert session_door.call(**options) == "200"
    assert b.seen[-1].target == "/y?z=1"
    assert b.seen[-1].headers["host"] == authority(b)
    assert set(counts(runtime)) == {"success"}


def test_a_redirect_to_another_service_is_balanced_there(
    session_door: Door, estate: Estate, flaky: Servers
) -> None:
    other = flaky.start("ok")
    runtime, _ = estate(redirect("http://stock/y"), stock=[other.url])
    options = {"follow_redirects": True} if session_door.name.startswith("httpx") else {}
    with session_door.opened():
        assert session_door.call(**options) == "200"
    assert [(one.target, one.headers["host"]) for one in other.seen] == [("/y", authority(other))]
    assert runtime.circuits.get("calls").target == "orders"  # the first one called


def test_a_port_beside_a_service_name_is_ignored_and_said_once(
    session_door: Door, estate: Estate, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "_told", set())
    _, (a,) = estate("ok")
    with session_door.opened(), caplog.at_level(logging.WARNING, "resilient.door"):
        assert [session_door.call(path="http://orders:9999/x") for _ in range(3)] == ["200"] * 3
    assert a.reached == 3
    assert [one.getMessage() for one in caplog.records] == [
        "port 9999 in a URL for service 'orders' is ignored: its instances have their own"
    ]


def test_https_never_goes_out_in_plain(session_door: Door, estate: Estate) -> None:
    runtime, (a,) = estate("ok")
    with session_door.opened():
        assert session_door.call(path="https://orders/x") == "NoInstance"
    assert session_door.error.reason.startswith("scheme")
    assert a.connections == 0
    assert counts(runtime) == {"failure": 1}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_secure_instance_is_called_with_tls(
    session_door: Door, estate: Estate, flaky: Servers, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if session_door.name.startswith("httpx"):
        pytest.skip("httpx takes its certificates when the client is made")
    secure = flaky.start("ok", ssl=tls())
    estate(tls=[secure.url])
    with session_door.opened():
        assert session_door.call(path=f"{scheme}://tls/x", **trusting(session_door)) == "200"
    assert secure.reached == 1


def test_httpx_calls_secure_instances_too(estate: Estate, flaky: Servers) -> None:
    import httpx

    from resilient.httpx import Balanced

    secure = flaky.start("ok", ssl=tls())
    estate(tls=[secure.url])
    trust = ssl.create_default_context(cafile=pem())
    with httpx.Client(transport=Balanced(httpx.HTTPTransport(verify=trust))) as http:
        assert http.get("http://tls/x").status_code == 200
        assert http.get("https://tls/x").status_code == 200
    assert secure.reached == 2


def test_https_finds_the_secure_ones_among_plain_ones(
    session_door: Door, estate: Estate, flaky: Servers
) -> None:
    if session_door.name.startswith("httpx"):
        pytest.skip("httpx takes its certificates when the client is made")
    secure = flaky.start("ok", ssl=tls())
    plain = flaky.start("ok")
    estate(mixed=[plain.url, secure.url])
    with session_door.opened():
        for _ in range(5):
            assert session_door.call(path="https://mixed/x", **trusting(session_door)) == "200"
    assert (plain.connections, secure.reached) == (0, 5)


def test_an_instance_with_an_ipv6_address(session_door: Door, estate: Estate, flaky: Servers) -> None:
    try:
        six = flaky.start("ok", host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    estate(six=[six.url])
    with session_door.opened():
        assert session_door.call(path="http://six/x") == "200"
    assert six.seen[0].headers["host"] == authority(six)
    assert six.seen[0].headers["host"].startswith("[::1]:")


@pytest.mark.parametrize("name", ["calls", None])
def test_an_unknown_name_is_no_host(session_door: Door, estate: Estate, name: str | None) -> None:
    estate("ok")
    with session_door.opened():
        began = time.monotonic()
        assert session_door.call(path="http://order/x", name=name) == "NoInstance"
        assert time.monotonic() - began < 5  # nobody's DNS is asked, and nobody waited for
    assert "did you mean 'orders'?" in str(session_door.error)


def test_names_with_a_dot_or_an_underscore_are_services_if_the_directory_says_so(
    session_door: Door, estate: Estate, flaky: Servers
) -> None:
    one = flaky.start("ok")
    estate(**{"a.b": [one.url], "my_orders": [one.url]})
    with session_door.opened():
        assert session_door.call(path="http://A.B/x") == "200"
        assert session_door.call(path="http://my_orders/x") == "200"
    assert one.reached == 2


def test_other_hosts_are_called_directly_and_judged(session_door: Door, estate: Estate) -> None:
    runtime, (a,) = estate(("ok", "503"))
    port = a.url.rpartition(":")[2]
    with session_door.opened():
        assert session_door.call(path=f"{a.url}/x") == "200"
        assert session_door.call(path=f"http://localhost:{port}/x") == "503"
        assert session_door.call(path="http://nobody.invalid/x") in ("broken", "timeout")
        assert session_door.call(path=f"http://nobody:{port}/x") in ("broken", "timeout")
    assert counts(runtime)["success"] == 1
    assert counts(runtime)["failure"] + counts(runtime).get("timeout", 0) == 3
    assert runtime.circuits.get("calls").target == authority(a)
    assert runtime.balancer.services == []


def test_outside_any_circuit_other_hosts_are_left_alone(session_door: Door, estate: Estate) -> None:
    runtime, (a,) = estate("503")
    with session_door.opened():
        assert session_door.call(path=f"{a.url}/x", name=None) == "503"
    assert len(runtime.circuits) == 0


def test_without_a_directory_nothing_is_said_about_the_service(
    session_door: Door, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resilient.runtime.FIRST_DIRECTORY", 0.05)
    runtime = Runtime(settings=Settings.load({}))
    monkeypatch.setattr(runtime, "start", lambda: None)
    with runtime.active(), session_door.opened():
        monkeypatch.setattr(Runtime.ready, "__defaults__", (0.05,))
        monkeypatch.setattr(Runtime.wait, "__defaults__", (0.05,))
        assert session_door.call(path="http://orders/x") == "NoInstance"
    assert isinstance(session_door.error, NoInstance)
    assert session_door.error.undecided
    assert "no directory" in str(session_door.error)
    assert counts(runtime) == {"void": 1}


def test_hosts_with_a_port_do_not_wait_for_a_directory(
    session_door: Door, flaky: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = flaky.start("ok")
    runtime = Runtime(settings=Settings.load({}))
    monkeypatch.setattr(runtime, "start", lambda: pytest.fail("nothing here needs a registry"))
    with runtime.active(), session_door.opened():
        assert session_door.call(path=f"{one.url}/x") == "200"
        assert session_door.call(path=f"http://nobody:{one.url.rpartition(':')[2]}/x", timeout=1) != "200"
