"""The CRC-32 of joined bytes from those of the parts, so that nobody reads the bytes again. Pure.

The checksum of ``a + b`` is that of ``a``, shifted by the length of ``b``, plus that of ``b``. To shift is to
multiply by a power of x in the field of the checksum; the power for a length is worked out once.
"""

from __future__ import annotations

from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31  # bits are reflected: the highest one stands for x to the power of 0


def times(a: int, b: int) -> int:
    """The product of two checksums taken as polynomials."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


@lru_cache(maxsize=4096)
def shift(length: int) -> int:
    """What to multiply with to shift by so many bytes."""
    result, power = _ONE, _squares()
    for square in power:
        if not length:
            break
        if length & 1:
            result = times(square, result)
        length >>= 1
    return result


@lru_cache(maxsize=1)
def _squares() -> tuple[int, ...]:
    """The shifts by 1, 2, 4, ... bytes."""
    found = [1 << 23]  # x to the power of 8
    for _ in range(47):
        found.append(times(found[-1], found[-1]))
    return tuple(found)
