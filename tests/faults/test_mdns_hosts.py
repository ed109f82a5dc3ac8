"""Two hosts on one network that know nothing of each other: namespaces with a wire between them.

Real multicast, real processes, and avahi as the second opinion on what is announced.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import Process, until

TOKEN = "a-token-for-this-test"
SERVICE = str(Path(__file__).parent / "rolling_service.py")
_count = itertools.count()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


def _missing() -> str:
    if shutil.which("ip") is None:
        return "no ip on the PATH: install iproute2"
    if os.geteuid() != 0:
        return "network namespaces are for root"
    try:
        _ip("netns", "add", f"probe{os.getpid()}")
        _ip("netns", "del", f"probe{os.getpid()}")
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "network namespaces cannot be made here"
    return ""


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.environ.get("FAULTS") != "full", reason="takes seconds: make test-faults"),
]


class Hosts:
    """Two of them, at 10.99.0.1 and 10.99.0.2."""

    def __init__(self) -> None:
        number = f"{os.getpid() % 100_000}{next(_count)}"
        self.names = (f"ra{number}", f"rb{number}")
        self._wires = (f"va{number}", f"vb{number}")

    def __enter__(self) -> Hosts:
        for name in self.names:
            _ip("netns", "add", name)
        one, other = self._wires
        _ip("link", "add", one, "type", "veth", "peer", "name", other)
        for place, (name, wire) in enumerate(zip(self.names, self._wires, strict=True), 1):
            _ip("link", "set", wire, "netns", name)
            _ip("-n", name, "addr", "add", f"10.99.0.{place}/24", "dev", wire)
            _ip("-n", name, "link", "set", wire, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "route", "add", "default", "dev", wire)
        return self

    def __exit__(self, *about: object) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20)

    def run(self, host: int, *command: str, **environ: str) -> Process:
        return Process("ip", "netns", "exec", self.names[host], *command, **environ)

    def registry(self, host: int, *options: str) -> Process:
        return self.run(
            host,
            sys.executable,
            "-m",
            "resilient",
            "registry",
            "--host",
            "0.0.0.0",
            "--zone",
            "east",
            *options,
        )


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if why := _missing():
        pytest.skip(why)
    with Hosts() as made:
        yield made


def _listed(hosts: Hosts, host: int, path: str, token: str = TOKEN) -> str:
    command = """if True:
        import sys, urllib.request as web
        asked = web.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
        print(web.urlopen(asked, timeout=5).read().decode())
    """
    done = subprocess.run(
        ["ip", "netns", "exec", hosts.names[host], sys.executable, "-c", command, path, token],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout


def test_a_service_without_any_setting_finds_a_registry_on_another_host(hosts: Hosts) -> None:
    with hosts.registry(0) as registry:
        registry.line(lambda line: line.startswith("http://"))
        with hosts.run(1, sys.executable, SERVICE, RESILIENT_PORT="0") as service:
            service.line(lambda line: "listens on" in line)
            until(lambda: "ORDERS" in _listed(hosts, 0, "http://127.0.0.1:8761/eureka/apps"), 20)


def test_with_a_token_only_the_registry_that_has_it_is_believed(hosts: Hosts) -> None:
    with hosts.registry(0, "--port", "8762") as liar, hosts.registry(0, "--token", TOKEN) as registry:
        liar.line(lambda line: line.startswith("http://"))
        registry.line(lambda line: line.startswith("http://"))
        with hosts.run(1, sys.executable, SERVICE, RESILIENT_PORT="0", RESILIENT_TOKEN=TOKEN) as service:
            service.line(lambda line: "listens on" in line)
            until(lambda: "ORDERS" in _listed(hosts, 0, "http://127.0.0.1:8761/eureka/apps"), 20)
            assert "ORDERS" not in _listed(hosts, 0, "http://127.0.0.1:8762/eureka/apps")


def test_one_that_was_told_not_to_is_not_found(hosts: Hosts) -> None:
    look = "import asyncio; from resilient.discovery import mdns; print(len(asyncio.run(mdns.find(2))))"
    with hosts.registry(0, "--no-mdns") as registry:
        registry.line(lambda line: line.startswith("http://"))
        with hosts.run(1, sys.executable, "-c", look) as seeker:
            assert seeker.line(str.isdigit) == "0"


#: Whatever is started inside ends with it, however it ends.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_AVAHI = """
mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon || exit 1
cat > /run/bus.conf <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
<allow send_type="method_call"/><allow user="*"/></policy></busconfig>
END
cat > /run/avahi.conf <<END
[server]
use-ipv4=yes
use-ipv6=no
enable-dbus=yes
host-name=looker
[publish]
disable-publishing=yes
END
dbus-daemon --config-file=/run/bus.conf --nofork --nopidfile &
sleep 0.5
avahi-daemon -f /run/avahi.conf --no-chroot --no-drop-root --no-rlimits &
sleep 1
avahi-browse --parsable --resolve --ignore-local _resilient._tcp
"""


def _avahi_missing() -> str:
    for program, package in (
        ("avahi-daemon", "avahi-daemon"),
        ("avahi-browse", "avahi-utils"),
        ("dbus-daemon", "dbus-daemon"),
    ):
        if shutil.which(program) is None:
            return f"no {program} on the PATH: install {package}"
    return ""


def test_avahi_sees_it_come_and_go(hosts: Hosts) -> None:
    if why := _avahi_missing():
        pytest.skip(why)
    with hosts.run(1, *ALONE, "sh", "-c", _AVAHI) as avahi:
        with hosts.registry(0, "--token", TOKEN) as registry:
            registry.line(lambda line: line.startswith("http://"))
            line = avahi.line(lambda line: line.startswith("=;"))
            fields = line.split(";")
            assert fields[3:5] == ["10-99-0-1-8761", "_resilient._tcp"]
            assert fields[7:9] == ["10.99.0.1", "8761"]
            about = dict(one.split("=", 1) for one in fields[9].strip('"').split('" "'))
            assert about["path"] == "/eureka/"
            assert about["scheme"] == "http"
            assert about["zone"] == "east"
            assert about["version"]
            assert len(about["sig"]) == 64
            began = time.monotonic()
            registry.end()
        avahi.line(lambda line: line.startswith("-;"))
        # A goodbye, and not a record that has grown old (75 minutes).
        assert time.monotonic() - began < 15
