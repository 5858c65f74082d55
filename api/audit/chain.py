"""The hash chain of the audit log: each row's hash covers its fields and the hash before it. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.storage.types import canonical_json, moment_text

GENESIS = "0" * 64
HASHED = (
    "seq", "at", "actor_kind", "actor_id", "actor_name", "action", "target_kind", "target_id", "before", "after",
    "request_id", "address", "prev_hash",
)  # fmt: skip


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over HASHED of one audit row; `at` is in UTC, before and after are JSON values."""
    fields = {name: _spelt(row[name]) for name in HASHED}
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()


def _spelt(value: Any) -> Any:
    return moment_text(value) if isinstance(value, datetime) else value
