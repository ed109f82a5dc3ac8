import pytest
from eureka_samples import REGISTRATION, REGISTRATION_XML

from resilient.errors import WireError
from resilient.eureka.codec import FORMATS, JSON, XML, XML_V1, as_utf8, sent, wanted
from resilient.eureka.fields import Standing, tree
from resilient.model import Status


@pytest.mark.parametrize("accept", [None, "", "*/*", "text/html", "application/xml"])
def test_xml_is_the_default(accept):
    assert wanted(accept) is XML
    assert wanted(accept, v1=True) is XML_V1


@pytest.mark.parametrize("accept", ["application/json", "application/json, */*;q=0.1", "application/*+JSON"])
def test_json_if_the_word_is_there(accept):
    assert wanted(accept) is wanted(accept, v1=True) is JSON


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, JSON),
        ("", JSON),
        ("application/json; charset=utf-8", JSON),
        ("Application/XML", XML),
        ("text/xml", XML),
        ("text/csv", None),
        ("text/html", None),
        ("application/x-www-form-urlencoded", None),
    ],
)
def test_the_format_of_a_body(header, found):
    assert sent(header) is found


def test_charsets():
    assert as_utf8("é".encode(), None) == as_utf8("é".encode(), "UTF-8") == "é".encode()
    assert as_utf8("é".encode("latin-1"), '"ISO-8859-1"') == "é".encode()
    for foreign in ("hex", "rot13", "utf-16", "zlib_codec", "cp037"):
        assert as_utf8(b"", foreign) is None


@pytest.mark.parametrize("format", FORMATS.values(), ids=list(FORMATS))
def test_all_formats_do_the_same(format):
    body = REGISTRATION if format is JSON else REGISTRATION_XML
    one = format.read_instance(body).become(Status.OUT_OF_SERVICE)
    fragment = format.write_instance(tree(one, Standing()))
    page = format.read_applications(
        format.write_applications("2", "X", [format.write_application("ORDERS", [fragment])])
    )

    shown = Status.DOWN if format is XML_V1 else Status.OUT_OF_SERVICE
    assert [entry.status for _, entry in page.entries] == [shown]
    assert format.read_instance(format.document("instance", fragment)).status is shown
    with pytest.raises(WireError):
        format.read_instance(b"?")
