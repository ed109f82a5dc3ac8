"""The same without async: RESILIENT_REGISTRY=http://127.0.0.1:8761/eureka/ python examples/caller_sync.py"""

from resilient import circuit
from resilient.requests import session  # or resilient.httpx


@circuit(default=None, timeout=1)
def order(id: int) -> dict | None:
    response = session().get(f"http://orders/orders/{id}")
    response.raise_for_status()
    return response.json()


for id in range(3):
    print(order(id))
