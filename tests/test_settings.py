import base64

import pytest

from resilient.errors import ConfigError
from resilient.settings import RegistryAddress, Settings, circuit_variable


@pytest.mark.parametrize(
    ("text", "url", "root"),
    [
        ("http://r:8761", "http://r:8761/eureka/", "http://r:8761"),
        ("http://r:8761/", "http://r:8761/eureka/", "http://r:8761"),
        ("http://r:8761/eureka", "http://r:8761/eureka/", "http://r:8761"),
        ("http://r:8761/eureka//", "http://r:8761/eureka/", "http://r:8761"),
        ("http://r/eureka/v2", "http://r/eureka/v2/", "http://r"),
        ("http://r/v2/", "http://r/v2/", "http://r"),
        (
            "https://R.example/registry/eureka/",
            "https://r.example/registry/eureka/",
            "https://r.example/registry",
        ),
        ("r:8761", "http://r:8761/eureka/", "http://r:8761"),
        (" localhost ", "http://localhost/eureka/", "http://localhost"),
        ("http://[::1]:8761", "http://[::1]:8761/eureka/", "http://[::1]:8761"),
    ],
)
def test_registry_urls_are_read_as_people_write_them(text: str, url: str, root: str) -> None:
    address = RegistryAddress.parse(text)
    assert (address.url, address.root, str(address)) == (url, root, url)


@pytest.mark.parametrize(
    "text",
    ["ftp://r/", "http://", "http://r:99999", "http://r:0", "http://r:x", "http://r/?a=1", "http://r/#x",
     "http://r/a b", "http://r\r\nX: y/", "http://ö/"],
)  # fmt: skip
def test_registry_urls_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        RegistryAddress.parse(text)


def test_credentials_become_a_header_and_are_never_shown() -> None:
    settings = Settings.load(
        {"RESILIENT_REGISTRY": "http://user:s%40cret@r:1/eureka,http://q:2"}, token="t0ken"
    )
    first, second = settings.registry
    assert first.authorization == "Basic " + base64.b64encode(b"user:s@cret").decode()
    assert second.authorization == "Bearer t0ken"
    assert settings.shown_registry == "http://r:1/eureka/,http://q:2/eureka/"
    shown = repr(settings) + str(settings.rows()) + settings.shown_registry + repr(first)
    for secret in ("s@cret", "s%40cret", "t0ken", first.authorization):
        assert secret not in shown


def test_an_argument_wins_over_the_environment_which_wins_over_the_default() -> None:
    environ = {
        "RESILIENT_PORT": "9000",
        "RESILIENT_ZONE": "east",
        "RESILIENT_SERVICE": "Orders",
        "RESILIENT_HOST": " ",
    }
    settings = Settings.load(environ, port=8000, service=None)
    assert (settings.port, settings.zone, settings.service, settings.host) == (8000, "east", "orders", "")
    assert settings.sources["port"] == "argument"
    assert settings.sources["zone"] == "RESILIENT_ZONE"
    assert settings.sources["host"] == settings.sources["renew_every"] == "default"


def test_eurekas_own_variable_names_the_registry_unless_ours_does() -> None:
    theirs = {"EUREKA_CLIENT_SERVICEURL_DEFAULTZONE": "http://a:1/eureka/,http://b:2/eureka/"}
    settings = Settings.load(theirs)
    assert settings.shown_registry == "http://a:1/eureka/,http://b:2/eureka/"
    assert settings.sources["registry"] == "EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"
    assert Settings.load({**theirs, "RESILIENT_REGISTRY": "c:3"}).shown_registry == "http://c:3/eureka/"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"RESILIENT_PORT": "80a"}, ["port", "80a", "RESILIENT_PORT", "between 0 and 65535", "=8080"]),
        ({"RESILIENT_PORT": "-1"}, ["port", "-1"]),
        ({"RESILIENT_ENABLED": "maybe"}, ["enabled", "maybe", "must be 1 or 0"]),
        ({"RESILIENT_FETCH_INTERVAL": "nan"}, ["fetch_interval", "nan", "seconds"]),
        ({"RESILIENT_SERVICE": "a b"}, ["service", "'a b'"]),
        ({"RESILIENT_METADATA": "x"}, ["metadata", "key=value"]),
        ({"RESILIENT_REGISTRY": "ftp://x"}, ["registry", "http://", "ftp://x", "RESILIENT_REGISTRY"]),
        (
            {"RESILIENT_RENEW_EVERY": "90"},
            ["expire_after", "renew_every", "RESILIENT_RENEW_EVERY", "default"],
        ),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_cure(
    environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load(environ)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_a_refused_value_gives_away_no_secret_and_no_control_character() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load({"RESILIENT_REGISTRY": "http://user:geheim@r:999999\x1b[31m"})
    assert "geheim" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        Settings.load({"RESILIENT_TOKEN": "ge heim"})
    assert "heim" not in str(caught.value)


def test_an_unknown_argument_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'registry'"):
        Settings.load({}, registri="x")


def test_unknown_variables_are_reported_with_what_was_probably_meant() -> None:
    settings = Settings.load(
        {
            "RESILIENT_REGISTY": "http://r",
            "RESILIENT_XYZZY": "1",
            "RESILIENT_CIRCUIT_ORDERS_TIMEOUT": "1",
            "RESILIENT_REGISTRY_PORT": "1",
            "RESILIENT_ZONE": "z",
            "PATH": "/bin",
        }
    )
    assert settings.unknown == {"RESILIENT_REGISTY": "RESILIENT_REGISTRY", "RESILIENT_XYZZY": ""}


def test_one_circuits_options_are_found_by_name() -> None:
    settings = Settings.load(
        {
            "RESILIENT_CIRCUIT_SHOP_PRICE_TIMEOUT": "2",
            "RESILIENT_CIRCUIT_SHOP_PRICE_ERROR_RATE": "0.2",
            "RESILIENT_CIRCUIT_SHOP_TIMEOUT": "9",
        }
    )
    assert settings.circuit("shop.price") == {"timeout": "2", "error_rate": "0.2"}
    assert settings.circuit("shop", ("timeout", "error_rate")) == {"timeout": "9"}
    assert settings.circuit("other") == {}
    assert circuit_variable("shop.price", "timeout") == "RESILIENT_CIRCUIT_SHOP_PRICE_TIMEOUT"


def test_rows_show_every_setting_with_its_source_and_variable() -> None:
    settings = Settings.load(
        {"RESILIENT_METADATA": "version=2, canary=yes", "RESILIENT_ADMIN_TOKEN": "geheim"}
    )
    rows = {row.name: row for row in settings.rows()}
    assert rows["metadata"].value == "version=2,canary=yes"
    assert rows["metadata"].source == "RESILIENT_METADATA"
    assert rows["admin_token"].value == "***"
    assert rows["fetch_interval"].value == "5"
    assert rows["fetch_interval"].variable == "RESILIENT_FETCH_INTERVAL"
    assert not any(name in rows for name in ("sources", "unknown", "circuit_variables"))


def test_defaults() -> None:
    settings = Settings.load({})
    assert (settings.renew_every, settings.expire_after, settings.fetch_interval) == (30, 90, 5)
    assert settings.enabled
    assert settings.registry == ()
    assert not Settings.load({"RESILIENT_ENABLED": "0"}).enabled


def test_several_registries_may_be_given_as_a_list_and_are_named_once() -> None:
    settings = Settings.load({}, registry=["http://a", RegistryAddress.parse("b"), "http://a/eureka/"])
    assert settings.shown_registry == "http://a/eureka/,http://b/eureka/"
