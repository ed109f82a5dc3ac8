"""The same requests to our registry and to Netflix's: they differ where, and only where, the docs say so."""

from __future__ import annotations

import re

import differential
import pytest
from interop_kit import HERE, eureka_server, eureka_url, our_registry


@pytest.mark.slow
@pytest.mark.timeout(180, func_only=True)
@pytest.mark.usefixtures("java")
@pytest.mark.parametrize("strict", [False, True], ids=["usual", "strict"])
def test_answers_differ_only_where_it_is_explained(strict: bool) -> None:
    options = ["--strict-eureka"] if strict else []
    with our_registry(*options) as url, eureka_server() as server:
        differences = list(differential.compare(url, eureka_url(server)))
    assert [str(one) for one in differences if not one.reason] == []
    assert differential.missing(differences) == (sorted(differential.HABITS) if strict else [])


def test_the_docs_explain_each_difference_and_no_other() -> None:
    text = (HERE.parents[1] / "docs" / "compatibility.md").read_text()
    table = text.partition("## Where the answers differ")[2].partition("\n## ")[0]
    explained = set(re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)) - {"difference", "---"}
    meant = {name.partition(", ")[0] for name in (*differential.GENERAL, *differential.EXPLAINED)}
    assert explained == meant
