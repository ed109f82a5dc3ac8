"""Operators' statuses that end by themselves do so also if the registry was started again meanwhile."""

from __future__ import annotations

import logging

import pytest
from test_ui_actions import OUT, estate, post, status_of, watching

from registry_server.board_ends import SUFFIX, End, EndsFile
from resilient.model import Status


async def test_over_a_restart_an_end_is_kept_with_who_and_why(tmp_path):
    path = str(tmp_path / "registry")
    async with estate(snapshot=path) as one, watching(one) as events:
        await post(one, "out-of-service", {**OUT, "for": 600, "by": "Ann"})
        await events.next("action", within=30)
        await one.registry.actor.tick()
        await one.registry.keeper.save()
    async with estate(snapshot=path) as one:
        assert status_of(one, "i0") == (Status.OUT_OF_SERVICE, Status.OUT_OF_SERVICE)
        await one.registry.actor.tick()
        async with one.session.get(f"{one.base}/ui/data/services/orders") as answer:
            said = (await answer.json())["instances"][0]["override"]
        assert (said["by"], said["reason"]) == ("Ann", "new disk")
        assert said["until"] == pytest.approx(one.clock.time() * 1000 + 600_000)
        one.clock.advance(600)
        one.registry.registry.renew("orders", "i0")
        await one.registry.actor.tick()
        assert status_of(one, "i0") == (Status.UP, Status.UNKNOWN)
        await one.registry.actor.tick()
    assert EndsFile(path).read() == []


END = End("orders", "i0", 5e9, "Ann", "new disk", 4e9)


def test_what_is_written_is_read_again(tmp_path):
    file = EndsFile(tmp_path / "deep" / "registry")
    assert file.read() == []
    file.write([END])
    assert file.read() == [END]
    assert [one.name for one in (tmp_path / "deep").iterdir()] == [f"registry{SUFFIX}"]
    assert (tmp_path / "deep" / f"registry{SUFFIX}").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[5]", b'[["a","b","soon","","",1]]', b"\xff" * 99, b"[" * 5000]
)
def test_a_file_that_makes_no_sense_is_said_once_and_holds_nothing_up(tmp_path, caplog, content):
    caplog.set_level(logging.ERROR)
    (tmp_path / f"registry{SUFFIX}").write_bytes(content)
    file = EndsFile(tmp_path / "registry")
    assert file.read() == file.read() == []
    assert len(caplog.records) == 1
    file.write([END])
    assert file.read() == [END]
    EndsFile(tmp_path / f"registry{SUFFIX}" / "no folder").write([END])  # nor a place to write to
    assert len(caplog.records) == 2
