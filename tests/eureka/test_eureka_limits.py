"""Every limit: one below, at, one above."""

import pytest
from eureka_samples import accepted, listed, refused

from resilient.errors import WireError
from resilient.eureka.limits import canonical_id, check_host


@pytest.mark.parametrize(("length", "good"), [(0, False), (1, True), (127, True), (128, True), (129, False)])
def test_application_names_have_a_length(length, good):
    if good:
        assert accepted(app="A" * length).service == "a" * length
    else:
        refused(app="A" * length)


@pytest.mark.parametrize("app", ["-a", ".a", "a b", "a/b", "é", "a\n", "<a>", "a\x00", ".."])
def test_application_names_have_an_alphabet(app):
    message = refused(app=app)

    assert message.startswith("app must be")
    assert app not in message


@pytest.mark.parametrize(("length", "good"), [(1, True), (255, True), (256, True), (257, False)])
def test_ids_have_a_length_in_bytes(length, good):
    for text in ("i" * length, "é" * (length // 2) + "i" * (length % 2)):
        if good:
            assert accepted(instanceId=text).id == text
        else:
            refused(instanceId=text)


@pytest.mark.parametrize(
    "text", ["a b", "a\tb", "\x1b[2J", "a\u2028b", "a\u202eb", "a\u200bb", "\ud800", ".", "..", "a\xa0b"]
)
def test_ids_are_printable(text):
    refused(instanceId=text)


def test_ids_as_people_have_them():
    for text in ("test#1.[3.?]!", "a:b:80", "a/b", "日本", "..."):
        assert accepted(instanceId=text).id == text
    assert accepted(instanceId="e\u0301").id == canonical_id("e\u0301") == "\u00e9"


GOOD_HOSTS = [
    "h",
    "node-7.example.net",
    "node.",
    "1a2b3c",
    "123456789012",
    "10.0.0.1",
    "::1",
    "fe80::1%eth0",
    "x" * 63,
    "a_b",
    "_a.b_",
]
BAD_HOSTS = [
    "-a",
    "a-",
    "a b",
    "a..b",
    "x" * 64,
    "300.1.2.3",
    "1.2.3",
    "h/x",
    "h:80",
    "u@h",
    "[::1]",
    "é.net",
]
BAD_HOSTS += ["fe80::1%<b>", "10.0.0.1%eth0", "h\n", "h?x", "h#x", "\\h", "::1%"]


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_hosts(host):
    assert accepted(hostName=host).host == host
    assert accepted(ipAddr=host).address == host
    assert listed(hostName=host).host == host


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_bad_hosts(host):
    assert "hostName must be a host name" in refused(hostName=host)
    assert "ipAddr must be a host name" in refused(ipAddr=host)


def test_hosts_have_a_length():
    name = ".".join(["a" * 49] * 5)[:253]

    assert len(check_host(name + "abcd", "h")) == 253
    with pytest.raises(WireError):
        check_host(name + "abcde", "h")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "ftp://h/", "http://a b/", "http://", "//h/", 'http://h/"x', "", 7]
)
def test_only_web_links_are_kept(url):
    assert accepted(statusPageUrl=url) == accepted()
    assert listed(statusPageUrl=url) == listed()


@pytest.mark.parametrize(("length", "kept"), [(2047, True), (2048, True), (2049, False)])
def test_links_have_a_length(length, kept):
    url = "HTTPS://h/".ljust(length, "x")

    assert ("homePageUrl" in accepted(homePageUrl=url).extra) is kept


@pytest.mark.parametrize(("entries", "good"), [(127, True), (128, True), (129, False)])
def test_metadata_has_a_number_of_entries(entries, good):
    sent = {f"k{n}": "" for n in range(entries)}
    if good:
        assert len(accepted(metadata=sent).metadata) == entries
    else:
        assert "128 entries" in refused(metadata=sent)


@pytest.mark.parametrize(
    ("key", "value", "good"), [(127, 4095, True), (128, 4096, True), (129, 1, False), (1, 4097, False)]
)
def test_metadata_keys_and_values_have_lengths(key, value, good):
    sent = {"k" * key: "v" * value}
    if good:
        assert accepted(metadata=sent).metadata == sent
    else:
        refused(metadata=sent)


def test_metadata_needs_keys():
    refused(metadata={"": "v"})


@pytest.mark.parametrize(("total", "good"), [(32_767, True), (32_768, True), (32_769, False)])
def test_metadata_has_a_total(total, good):
    sent = {f"{n:02}": "v" * 4000 for n in range(8)}
    sent["last"] = "v" * (total - 8 * 4002 - 4)
    if good:
        assert accepted(metadata=sent).metadata == sent
    else:
        assert "32768 bytes" in refused(metadata=sent)


@pytest.mark.parametrize(("names", "good"), [(31, True), (32, True), (33, False)])
def test_virtual_addresses_have_a_number(names, good):
    text = ",".join(["v" * 128] * names)
    if good:
        assert accepted(vipAddress=text).extra["vipAddress"] == text
    else:
        refused(vipAddress=text)
        refused(secureVipAddress=text)


def test_virtual_addresses_have_an_alphabet():
    assert accepted(vipAddress="a.example.net:7001, b_c,").extra["vipAddress"] == "a.example.net:7001, b_c,"
    for text in ("<b>", "a b", "${name}", "v" * 129, "a\x00"):
        refused(vipAddress=text)
