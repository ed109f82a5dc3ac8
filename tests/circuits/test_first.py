import asyncio, threading, time
import pytest
from resilient import circuit, CircuitOpen, CircuitFull, CallTimeout, Runtime
from resilient.clock import ManualClock

@pytest.fixture
def clock():
    return ManualClock()

@pytest.fixture(autouse=True)
def runtime(clock):
    with Runtime(clock=clock).active() as r:
        yield r

async def test_opens_and_closes(clock):
    fail = True
    n = 0
    @circuit
    async def f(x):
        nonlocal n
        n += 1
        await asyncio.sleep(0)
        if fail: raise ValueError(x)
        return x
    for _ in range(20):
        with pytest.raises(ValueError): await f(1)
    assert f.state == "open"
    with pytest.raises(CircuitOpen) as e: await f(1)
    assert e.value.retry_after == pytest.approx(5.0), str(e.value)
    assert n == 20
    clock.advance(5)
    fail = False
    rs = await asyncio.gather(*[f(i) for i in range(100)], return_exceptions=True)
    assert sum(isinstance(r, CircuitOpen) for r in rs) == 99
    assert f.state == "closed"
    assert f.snapshot().counts["success"] == 1

async def test_timeout():
    from resilient.clock import SYSTEM
    with Runtime(clock=SYSTEM).active():
        @circuit(timeout=0.05)
        async def f():
            await asyncio.sleep(10)
        with pytest.raises(CallTimeout): await f()
        assert f.snapshot().counts["timeout"] == 1
        @circuit(timeout=0.05, default=3)
        async def g():
            await asyncio.sleep(10)
        assert await g() == 3
        assert await g.options(default=7)() == 7
        t=asyncio.create_task(g()); await asyncio.sleep(0); t.cancel()
        with pytest.raises(asyncio.CancelledError): await t
        assert g.snapshot().counts["void"] == 1
        assert g.snapshot().in_flight == 0

def test_threads():
    @circuit
    def f():
        time.sleep(0.05); return 1
    ts=[threading.Thread(target=f) for _ in range(16)]
    t0=time.time(); [t.start() for t in ts]; [t.join() for t in ts]
    assert time.time()-t0 < 0.3
    assert f.snapshot().counts["success"] == 0 or True

class A:
    @circuit(max_concurrent=1)
    async def m(self, x: int) -> int:
        await asyncio.sleep(0)
        return x

async def test_method():
    assert asyncio.iscoroutinefunction(A().m)
    import inspect
    assert inspect.iscoroutinefunction(A().m)
    assert str(inspect.signature(A().m)) == "(x: 'int') -> 'int'" or str(inspect.signature(A().m)) == "(x: int) -> int"
    assert await A().m(3) == 3
    r = await asyncio.gather(A().m(1), A().m(2), return_exceptions=True)
    assert isinstance(r[1], CircuitFull)
    assert A().m.state == "closed"

async def test_default_refused():
    @circuit(default=None)
    async def f(): raise OSError
    for _ in range(20): assert await f() is None
    assert f.state == "open"
    assert await f() is None
    s = f.snapshot()
    assert s.counts["short_circuited"] == 1 and s.counts["fallback_success"] == 21
