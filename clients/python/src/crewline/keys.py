"""Keys of mutations: made once, and kept through every sending."""

from __future__ import annotations

import secrets
import time
import uuid


def new_key() -> str:
    """A UUIDv7 (RFC 9562, section 5.7): milliseconds, then chance."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
