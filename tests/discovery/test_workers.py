import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resilient.discovery.workers import Worker, folder

CHILD = """
import asyncio, sys, time
from pathlib import Path
from resilient.discovery.workers import Worker
worker = Worker("r", "i", where=Path(sys.argv[1]))
asyncio.run(worker.join())
print("in", flush=True)
time.sleep(60)
"""


async def joined(where: Path, instance: str = "i", registry: str = "r") -> Worker:
    worker = Worker(registry, instance, where=where)
    await worker.join()
    return worker


async def test_only_the_last_one_out_is_the_last(tmp_path: Path) -> None:
    first, second, third = [await joined(tmp_path) for _ in range(3)]
    assert not second.last()
    assert not first.last()
    assert third.last()
    third.close()


async def test_others_addresses_and_registries_do_not_count(tmp_path: Path) -> None:
    mine = await joined(tmp_path)
    others = [await joined(tmp_path, "other"), await joined(tmp_path, registry="other")]
    assert mine.last()
    for worker in (mine, *others):
        worker.close()


async def test_who_comes_while_the_last_one_signs_off_waits_for_it(tmp_path: Path) -> None:
    leaving = await joined(tmp_path)
    assert leaving.last()
    coming = Worker("r", "i", where=tmp_path)
    join = asyncio.ensure_future(coming.join())
    await asyncio.sleep(0.1)
    assert not join.done()
    leaving.close()
    await join
    third = await joined(tmp_path)
    assert not third.last()
    coming.close()


async def test_waiting_has_an_end(tmp_path: Path) -> None:
    leaving = await joined(tmp_path)
    assert leaving.last()
    coming = Worker("r", "i", where=tmp_path)
    await coming.join(wait=0.1)
    assert coming.last()  # not counted, so alone
    leaving.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_a_killed_worker_and_its_orphans_are_not_counted(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"in\n"
        mine, second = await joined(tmp_path), await joined(tmp_path)
        assert not second.last()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert mine.last()
        mine.close()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_take_the_lock_along(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys, time, warnings
from pathlib import Path
from resilient.discovery.workers import Worker
worker = Worker("r", "i", where=Path(sys.argv[1]))
asyncio.run(worker.join())
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    os.close(1); os.close(2)
    time.sleep(5)
    os._exit(0)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    try:
        watcher = asyncio.run(joined(tmp_path))
        parent.kill()
        parent.wait()
        os.kill(orphan, 0)  # still there
        assert watcher.last()
        watcher.close()
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        os.kill(orphan, signal.SIGKILL)


def test_the_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    path = folder({"XDG_RUNTIME_DIR": str(runtime)})
    assert path == runtime / "resilient"
    assert path.stat().st_mode & 0o777 == 0o700
    assert folder({"XDG_RUNTIME_DIR": str(runtime)}) == path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert folder({}) == tmp_path / f"resilient-{os.getuid()}"
    path.chmod(0o770)
    with pytest.raises(PermissionError):
        folder({"XDG_RUNTIME_DIR": str(runtime)})


async def test_a_foreign_folder_or_a_planted_link_means_that_nobody_is_counted(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    worker = Worker("r", "i", where=tmp_path)
    (tmp_path / worker._name).symlink_to(victim)
    await worker.join()
    assert worker._file is None
    assert worker.last()
    assert victim.read_text() == "precious"
    nowhere = Worker("r", "i", where=tmp_path / "missing")
    await nowhere.join()
    assert nowhere.last()
