"""Small hand-made warehouses: raw tables from the contracts, identity and ledger tables as the architecture says."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACTS = REPOSITORY / "pipelines" / "ingest" / "contracts"
ZONE = "Asia/Shanghai"

RAW_TYPES = {
    "text": "varchar",
    "option": "varchar",
    "options": "varchar[]",
    "integer": "bigint",
    "money": "bigint",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamptz",
}

# What a required column holds when a row does not name it.
FILLERS: dict[str, Any] = {
    "text": "x",
    "options": ["x"],
    "integer": 1,
    "money": 0,
    "boolean": False,
    "date": "2026-01-01",
    "datetime": "2026-01-01 00:00:00+08",
}

STATE_TABLES = {
    "identity.assignment": """key varchar, one_id varchar, customer_key integer, present boolean,
        reason_value_type varchar, reason_value_masked varchar, reason_via_key varchar""",
    "identity.registry": """one_id varchar, customer_key integer, founder_key varchar, generation integer,
        minted_night date, status varchar, merged_into varchar, changed_night date""",
    "identity.event": """night date, seq integer, event varchar, key varchar, from_id varchar, to_id varchar,
        cause_value_type varchar, cause_value_masked varchar, via_key varchar, override_id varchar""",
    "identity.value_state": """value_type varchar, value varchar, state varchar, persons integer, adults integer,
        unions integer, records integer, owner_key varchar""",
    "identity.conflict": """night date, value_type varchar, value_masked varchar, tier integer, left_key varchar,
        right_key varchar, reason varchar""",
    "identity.override_seen": "id varchar, kind varchar, a varchar, b varchar",
    "ingest.batch": """batch_id varchar, source varchar, table_name varchar, status varchar, window_from timestamptz,
        window_to timestamptz, business_day date, manifest_rows bigint, loaded_rows bigint, rejected_rows bigint,
        erased_rows bigint, superseded_rows bigint, unknown_columns varchar[], refusal_code varchar,
        refusal_message_zh varchar, refusal_message_en varchar""",
    "ingest.rejection": """batch_id varchar, source varchar, table_name varchar, file varchar, column_name varchar,
        code varchar, rows bigint, first_line bigint, sample varchar""",
}

Rows = Mapping[str, Iterable[Mapping[str, Any]]]


@cache
def contracts() -> dict[str, dict[str, Any]]:
    """Every contract by its raw table's name, `saas__patients`."""
    documents = (yaml.safe_load(path.read_text("utf-8")) for path in sorted(CONTRACTS.glob("*/*.yml")))
    return {f"{document['source']}__{document['table']}": document for document in documents}


def write_raw(warehouse: Path, rows: Rows) -> None:
    """Create every raw table afresh with these rows; required columns that a row leaves out get a filler."""
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"set TimeZone = '{ZONE}'")
        con.execute("create schema if not exists raw")
        for name, contract in contracts().items():
            columns = contract["columns"]
            listed = ", ".join(f"{column} {RAW_TYPES[spec['type']]}" for column, spec in columns.items())
            con.execute(f"create or replace table raw.{name} ({listed}, _batch_id varchar)")
            for row in rows.get(name, ()):
                _insert(con, f"raw.{name}", {**_fillers(columns), **row, "_batch_id": "test-01"})


def write_state(warehouse: Path, rows: Rows) -> None:
    """Create the identity and ledger tables afresh with these rows; other columns stay null."""
    with duckdb.connect(str(warehouse)) as con:
        con.execute(f"set TimeZone = '{ZONE}'")
        con.execute("create schema if not exists identity")
        con.execute("create schema if not exists ingest")
        for name, columns in STATE_TABLES.items():
            con.execute(f"create or replace table {name} ({columns})")
            for row in rows.get(name, ()):
                _insert(con, name, row)


def assignments(
    customers: Mapping[int, Iterable[str]], *, night: str = "2026-11-20"
) -> dict[str, list[dict[str, Any]]]:
    """State rows that give each customer_key its identities; the one_id is `C` and the key."""
    listed = {number: list(keys) for number, keys in customers.items()}
    assignment = [
        {"key": key, "one_id": f"C{number}", "customer_key": number, "present": True}
        for number, keys in listed.items()
        for key in keys
    ]
    registry = [
        {
            "one_id": f"C{number}",
            "customer_key": number,
            "founder_key": keys[0],
            "generation": 0,
            "minted_night": night,
            "status": "active",
            "changed_night": night,
        }
        for number, keys in listed.items()
    ]
    return {"identity.assignment": assignment, "identity.registry": registry}


def loaded_batches(day: date) -> list[dict[str, Any]]:
    """One accepted batch per source for a business day."""
    return [
        {
            "batch_id": f"{day:%Y%m%d}-01",
            "source": name.split("__")[0],
            "table_name": name.split("__")[1],
            "status": "loaded",
            "window_from": f"{day} 00:00:00+08",
            "window_to": f"{day} 23:59:59+08",
            "business_day": day,
            "manifest_rows": 1,
            "loaded_rows": 1,
            "rejected_rows": 0,
            "erased_rows": 0,
            "superseded_rows": 0,
        }
        for name in contracts()
    ]


def _fillers(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: spec["allowed"][0] if spec["type"] == "option" else FILLERS[spec["type"]]
        for name, spec in columns.items()
        if spec.get("required")
    }


def _insert(con: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    con.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))
