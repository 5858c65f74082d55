"""Naming a value without telling it: an operator who may not see a number can still decide about it.

A `value_ref` is a digest under a key of the tenant's, so nobody finds the number by trying all of them; it names the
same value in every version. The value behind it is looked up among those not ok (`marts.identity_value_state`).
"""

import hashlib
import hmac

import duckdb

from api.identity.schemas import Members
from segment_engine.runtime.published import PublishedReader


def ref_key(secret: bytes) -> str:
    """The key of the digests in answers about reviews; none of the tenant's other digests is made with it."""
    return hmac.new(secret, b"identity-review", hashlib.sha256).hexdigest()


def ref_sql(*parts: str) -> str:
    """SQL expression: the digest of these parts under the parameter `$ref_key`, 64 hexadecimal digits.

    The key goes first and parts are short texts of ours, so that a plain SHA-256 is as good as an HMAC here, which
    DuckDB does not have.
    """
    return f"sha256(concat_ws(':', $ref_key, {', '.join(parts)}))"


VALUE_REF = ref_sql("value_type", "value")


def value_of_ref(reader: PublishedReader, body: Members, *, secret: bytes) -> str | None:
    """The value that `value_ref` and `value_type` of the body name in the published version; None for none."""
    if body.value_ref is None or body.value_type is None:
        return None
    statement = f"select value from marts.identity_value_state where value_type = $type and {VALUE_REF} = $value_ref"
    values = {"type": body.value_type.value, "value_ref": body.value_ref, "ref_key": ref_key(secret)}
    with reader.cursor() as (cursor, _):
        try:
            found = cursor.execute(statement, values).fetchone()
        except duckdb.CatalogException:  # a version of an earlier release names no values
            return None
    return None if found is None else str(found[0])
