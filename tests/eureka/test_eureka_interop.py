"""What is written, read by somebody else's client."""

from xml.etree import ElementTree

import pytest
from eureka_samples import AMAZON, DELTA, REGISTRATION, SMALLEST

from resilient.eureka import json, xml
from resilient.eureka.fields import Standing, tree

python_client = pytest.importorskip("py_eureka_client.eureka_basic")


def test_the_python_client_reads_our_list():
    listed = [json.read_instance(body) for body in (REGISTRATION, SMALLEST)]
    listed += [one for _, one in json.read_applications(DELTA).entries]
    amazon = json.read_instance(AMAZON)
    applications = [
        xml.write_application(
            "ORDERS", [xml.write_instance(tree(one, Standing(updated_at=7))) for one in listed[:3]]
        ),
        xml.write_application("BILLING", [xml.write_instance(tree(amazon, Standing(updated_at=7)))]),
    ]
    read = python_client._build_applications(
        ElementTree.fromstring(xml.write_applications("3", "UP_4_", applications))
    )

    assert (read.versions__delta, read.appsHashcode) == ("3", "UP_4_")
    first = read.get_application("ORDERS").get_instance("node-7.example.net:orders:8080")
    assert (first.hostName, first.ipAddr, first.app) == ("node-7.example.net", "10.20.30.7", "ORDERS")
    assert (first.port.port, first.port.enabled, first.securePort.enabled) == (8080, True, False)
    assert (first.status, first.metadata, first.lastUpdatedTimestamp) == ("UP", {"zone": "rack-a"}, 7)
    assert (first.leaseInfo.renewalIntervalInSecs, first.leaseInfo.durationInSecs) == (10, 40)
    assert read.get_application("BILLING").get_instance("i-0123abcd").dataCenterInfo.name == "Amazon"
