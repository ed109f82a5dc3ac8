"""What the doctor finds, and what it says helps."""

import inspect
import os
import time
from email.utils import formatdate

import pytest
from cli_kit import Said, foreign, register, run
from process_kit import RegistryProcess, registry

from registry_server.settings import read_settings
from resilient.cli import checkup, modules, reach
from resilient.discovery.locate import Located
from resilient.settings import RegistryAddress, Settings


def checks(said: Said) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in said.json["checks"]}


def test_all_is_well(registry_process: RegistryProcess, capsys: pytest.CaptureFixture[str]) -> None:
    register(registry_process.url, "doctored", "doctored-1")
    said = run(capsys, "doctor", "--json", "--registry", registry_process.url)
    found = checks(said)
    assert {one["level"] for one in found.values()} <= {"ok", "note"}
    assert (said.code, said.json["good"]) == (0, True)
    assert [*found] == [
        "Python", "packages", "aiohttp", "modules", "uvloop", "settings",
        "registry", "answer", "clock", "registering", "version",
    ]  # fmt: skip
    assert found["clock"]["text"] == "as ours, to the second"
    assert found["registering"]["text"] == "possible, no token is needed"
    assert found["registry"]["text"] == f"{registry_process.url} (--registry)"
    # It only looked: its own question left nothing behind.
    assert "resilient-doctor" not in registry_process.services()
    for_people = run(capsys, "doctor", "--registry", registry_process.url)
    assert for_people.code == 0
    assert for_people.out.endswith("Nothing is wrong.\n")
    assert "fetch_interval" in for_people.out


def test_nobody_is_found_and_it_says_where_it_looked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(url: str) -> bool:
        return False

    monkeypatch.setattr(reach, "answers", no)
    monkeypatch.setenv("RESILIENT_MDNS", "0")
    said = run(capsys, "doctor", "--json")
    assert said.code == 1
    assert checks(said)["registry"]["level"] == "problem"
    assert "resilient registry" in checks(said)["registry"]["cure"]
    assert said.json["search"] == [
        {"place": "--registry", "outcome": "not given"},
        {"place": "RESILIENT_REGISTRY", "outcome": "not set"},
        {"place": "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE", "outcome": "not set"},
        {"place": "http://127.0.0.1:8761/eureka/", "outcome": "no registry answers there"},
        {"place": "mDNS", "outcome": "switched off"},
    ]


@pytest.mark.parametrize(
    ("source", "probed", "outcomes"),
    [
        ("argument", [], ["given", "not asked", "not asked", "not asked", "not asked"]),
        ("RESILIENT_REGISTRY", [], ["not given", "set", "not asked", "not asked", "not asked"]),
        (
            "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE",
            [],
            ["not given", "not set", "set", "not asked", "not asked"],
        ),
        ("this machine", [True], ["not given", "not set", "not set", "answers", "not asked"]),
        ("mDNS", [False], ["not given", "not set", "not set", "no registry answers there", "found"]),
    ],
)
def test_the_search_order(source: str, probed: list[bool], outcomes: list[str]) -> None:
    located = Located((RegistryAddress.parse("a:1"),), source)
    assert [step.outcome for step in reach.search(Settings(), located, probed, "")] == outcomes


def test_it_is_silent_there(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "doctor", "--registry", "http://127.0.0.1:1/eureka/")
    assert said.code == 1
    assert "http://127.0.0.1:1/eureka/ does not answer: connection refused" in said.out
    assert said.out.endswith("1 problem; what helps stands below each.\n")


def test_every_wrong_setting_is_told_at_once_and_the_rest_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "RESILIENT_PORT": "abc",
        "RESILIENT_TOKEN": "with blank",
        "RESILIENT_RENEW_EVERY": "100",
        "RESILIENT_FETSH_INTERVAL": "3",
        "RESILIENT_REGISTRY_TOKN": "x",
        "RESILIENT_CIRCUIT_ORDERS_TIMOUT": "3",
        "RESILIENT_CIRCUIT_ORDERS_TIMEOUT": "-3",
        "RESILIENT_CIRCUIT_ORDERS_MIN_CALLS": "7",
        "RESILIENT_ZONE": "eu",
        "RESILIENT_DEBUG": "1",
        "RESILIENT_REGISTRY": "127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    said = run(capsys, "doctor", "--json")
    found = checks(said)
    problems = {name for name, one in found.items() if one["level"] == "problem"}
    assert problems == {
        "RESILIENT_PORT",
        "RESILIENT_TOKEN",
        "settings",
        "RESILIENT_FETSH_INTERVAL",
        "RESILIENT_REGISTRY_TOKN",
        "RESILIENT_CIRCUIT_ORDERS_TIMOUT",
        "RESILIENT_CIRCUIT_ORDERS_TIMEOUT",
        "answer",
    }
    assert all(found[name]["cure"] for name in problems)
    assert "blank" not in found["RESILIENT_TOKEN"]["text"].replace("without blanks", "")
    assert found["RESILIENT_FETSH_INTERVAL"]["cure"] == "did you mean RESILIENT_FETCH_INTERVAL?"
    assert found["RESILIENT_REGISTRY_TOKN"]["cure"] == "did you mean RESILIENT_REGISTRY_TOKEN?"
    assert found["RESILIENT_CIRCUIT_ORDERS_TIMOUT"]["cure"] == (
        "did you mean RESILIENT_CIRCUIT_ORDERS_TIMEOUT?"
    )
    assert "expire_after must be longer than renew_every" in found["settings"]["text"]
    rows = {row["name"]: row for row in said.json["settings"]}
    assert (rows["zone"]["value"], rows["zone"]["source"]) == ("eu", "RESILIENT_ZONE")
    assert (rows["port"]["value"], rows["port"]["source"]) == ("0", "default")
    assert rows["RESILIENT_CIRCUIT_ORDERS_MIN_CALLS"]["value"] == "7"


def test_wrong_arguments_are_problems_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILIENT_MDNS", "0")
    said = run(capsys, "doctor", "--json", "--registry", "ftp://x", "--token", "a b")
    assert said.code == 1
    assert {"--registry", "--token"} <= {*checks(said)}


def test_secrets_are_not_shown(
    registry_process: RegistryProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESILIENT_REGISTRY", registry_process.url.replace("://", "://me:hunter2secret@"))
    monkeypatch.setenv("RESILIENT_ADMIN_TOKEN", "hunter3secret")
    for said in (run(capsys, "doctor"), run(capsys, "doctor", "--json")):
        assert said.code == 0, said.out
        assert "hunter" not in said.out + said.err


def test_a_token_is_needed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESILIENT_REGISTRY_TOKEN", "a-token-of-24-characters")
    token = os.environ["RESILIENT_REGISTRY_TOKEN"]
    import process_kit

    monkeypatch.setattr(process_kit, "clean_environ", lambda **more: {**os.environ, **more})
    with registry() as guarded:
        said = run(capsys, "doctor", "--json", "--registry", guarded.url)
        assert said.code == 1
        assert checks(said)["answer"]["level"] == "ok"  # reading is open
        assert checks(said)["registering"]["text"] == "refused with status 401: it wants a token"
        assert checks(said)["registering"]["cure"] == "give it with --token or RESILIENT_TOKEN"
        said = run(capsys, "doctor", "--json", "--registry", guarded.url, "--token", token)
        assert said.code == 0
        assert checks(said)["registering"]["text"] == "possible, with the token"


def test_another_products_registry_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    with foreign() as server:
        said = run(capsys, "doctor", "--json", "--registry", server.url)
    assert said.code == 0
    assert checks(said)["version"]["text"].startswith("another product's registry")


@pytest.mark.parametrize(
    ("off", "level", "texts"),
    [
        (0, "ok", {"as ours, to the second"}),
        (-20, "note", {"19 s behind ours", "20 s behind ours", "21 s behind ours"}),
        (300, "problem", {"299 s ahead of ours", "300 s ahead of ours", "301 s ahead of ours"}),
    ],
)
def test_clocks(off: float, level: str, texts: set[str]) -> None:
    now = time.time()
    date = {"Date": formatdate(now + off, usegmt=True)}
    reply = reach.Reply(RegistryAddress.parse("a:1"), 200, b"", date, 0.01)
    check = reach.clock_check(reply, now)
    assert check is not None
    assert check.level == level
    assert check.text in texts
    assert reach.clock_check(reply._replace(headers={"Date": "soon"}), now) is None


def test_the_registry_programs_variables_are_known() -> None:
    read = {name.upper() for name in inspect.signature(read_settings).parameters} - {"ENV"}
    assert read == set(checkup.REGISTRY_VARIABLES)


def test_aiohttp_without_its_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import http_parser

    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    assert {one.name: one for one in checkup.installation()}["aiohttp"].level == "problem"
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    assert {one.name: one for one in checkup.installation()}["aiohttp"].cure == "unset AIOHTTP_NO_EXTENSIONS"


def test_an_old_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = checkup.version
    monkeypatch.setattr(checkup, "version", lambda name: "3.13.9" if name == "aiohttp" else real(name))
    check = {one.name: one for one in checkup.installation()}["packages"]
    assert (check.level, check.cure) == ("problem", "run: pip install 'aiohttp>=3.14.1'")


def test_a_missing_module_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules.importlib.util, "find_spec", lambda name: None)
    assert modules.shadow("dashboard").startswith("the module 'dashboard' is missing; run: pip install")


def test_versions_compare_as_numbers() -> None:
    assert checkup.numbers("3.9") < checkup.numbers("3.14.1rc2") == (3, 14, 1)
