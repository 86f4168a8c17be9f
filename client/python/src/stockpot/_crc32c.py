"""CRC-32C (Castagnoli, as in iSCSI), in nothing but Python: of b"123456789" it is 0xE3069283.

zlib has another polynomial, and a loop over bytes would take far longer than the network. So a chunk is one large number,
a polynomial over GF(2), that is folded in half until it is short: A = H·x^h + L is H·(x^h mod P) + L modulo P, and a
product with the 32 bits of x^h mod P is a sum of shifted copies of H.
"""

from __future__ import annotations

import functools

_POLYNOMIAL = 0x1_1EDC_6F41
# The sum is defined over bytes whose bits are mirrored.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32c(data: bytes) -> int:
    bits = 8 * len(data)
    message = int.from_bytes(data.translate(_MIRRORED), "big")
    remainder = _modulo((message << 32) ^ (0xFFFF_FFFF << bits))
    mirrored = int(f"{remainder:032b}"[::-1], 2)
    return mirrored ^ 0xFFFF_FFFF


def _modulo(value: int) -> int:
    while (length := value.bit_length()) > 256:
        half, shifts = _fold(length)
        high = value >> half
        value &= (1 << half) - 1
        for shift in shifts:
            value ^= high << shift
    while value.bit_length() > 32:
        value ^= _POLYNOMIAL << (value.bit_length() - 33)
    return value


@functools.lru_cache(maxsize=1024)
def _fold(length: int) -> tuple[int, list[int]]:
    """Where to divide a number of so many bits, and the bits of x^half mod P: near the middle, where they are few."""
    first = 32 + length // 2
    power = _power(first)
    best, best_power = first, power
    for half in range(first + 1, min(first + 1000, length - 64)):
        power <<= 1
        power ^= _POLYNOMIAL if power >> 32 else 0
        if power.bit_count() < best_power.bit_count():
            best, best_power = half, power
    return best, _bits(best_power)


def _bits(value: int) -> list[int]:
    return [bit for bit in range(32) if value >> bit & 1]


def _power(exponent: int) -> int:
    """x^exponent mod P."""
    power = 1
    for digit in f"{exponent:b}":
        square = 0
        for shift in _bits(power):
            square ^= power << shift
        power = square << int(digit)
        while power.bit_length() > 32:
            power ^= _POLYNOMIAL << (power.bit_length() - 33)
    return power
