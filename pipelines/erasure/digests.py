"""Recognising erased persons in SQL: the tenant's digests as macros, and the set they are compared with.

The digest of an identity key is `segment_engine.runtime.secret.person_digest`; here it runs inside DuckDB, on columns.
"""

import hashlib
from collections.abc import Collection

from duckdb import DuckDBPyConnection

BLOCK_BYTES = 64
# What a refused row is taken apart into: whatever separators leave over, and runs that are numbers or names of accounts
# though other text touches them.
FIELDS = r"[^\s,;:|\"\\\[\]{}]+"
RUNS = "[A-Za-z0-9_@.-]{4,}"


def offer_digests(
    con: DuckDBPyConnection, secret: bytes, *, persons: Collection[str], values: Collection[str] = ()
) -> None:
    """Give the connection the macros `person_digest(key)`, `value_digest(text)`, `tokens(text)` and two tables.

    `erased_person(digest)` holds the tombstones; `erased_value(digest)` digests of what identified erased persons.
    All are temporary: nothing of it is stored in a file.
    """
    for name in ("person", "value"):
        con.execute(f"create or replace temp macro {name}_digest(given) as {_hmac(secret, f'{name}:')}")
    con.execute(
        f"""
        create or replace temp macro tokens(given) as
            list_distinct(regexp_extract_all(given, '{FIELDS}') || regexp_extract_all(given, '{RUNS}'))
        """
    )
    for table, digests in (("erased_person", persons), ("erased_value", values)):
        con.execute(f"create or replace temp table {table} (digest varchar primary key)")
        con.execute(f"insert into {table} select unnest($digests::varchar[])", {"digests": sorted(digests)})


def _hmac(secret: bytes, prefix: str) -> str:
    """HMAC-SHA-256 (hex) of the prefix and `given`, as SQL. Source: RFC 2104."""
    key = hashlib.sha256(secret).digest() if len(secret) > BLOCK_BYTES else secret
    block = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in block).hex() for pad in (0x36, 0x5C))
    return f"sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || encode('{prefix}' || given))))"
