"""Looking up a stem among others."""

from __future__ import annotations


def is_in(stem: str, have: frozenset[str]) -> bool:
    """Whether a stem is there, or a word of the same family: they share three quarters of the longer one."""
    if stem in have:
        return True
    if len(stem) < 5 or any(char.isdigit() for char in stem):
        return False
    need = max(5, -(-3 * len(stem) // 4))
    prefix = stem[:need]
    return any(other.startswith(prefix) and need * 4 >= 3 * len(other) for other in have)
