"""Coming from pybreaker, with your listeners, storages and exclusions: python examples/from_pybreaker.py"""

import asyncio

import pybreaker

from resilient import CircuitPolicy, circuit


class CardDeclined(Exception):
    pass


class Audit(pybreaker.CircuitBreakerListener):
    def state_change(self, cb, old_state, new_state):
        print(f"audit: {cb.name} is {new_state.name}")


# before: pybreaker.CircuitBreaker(fail_max=3, reset_timeout=60, exclude=[CardDeclined], listeners=[Audit()])
payments = circuit(
    "payments",
    CircuitPolicy.pybreaker(fail_max=3, exclude=(CardDeclined,)),
    listeners=[Audit()],
    storage=pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED),
)


@payments
async def charge(card: str) -> str:  # pybreaker never sees an async def fail; this does
    if card == "declined":
        raise CardDeclined(card)
    if card == "down":
        raise ConnectionError("the bank does not answer")
    return "charged"


async def main() -> None:
    for card in ("good", "declined", "declined", "down", "down", "down", "good"):
        try:
            print(card, "->", await charge(card))
        except pybreaker.CircuitBreakerError as error:  # CircuitOpen is one
            print(card, "->", type(error).__name__)
        except Exception as error:
            print(card, "->", type(error).__name__)


asyncio.run(main())
