"""What makes a contract document well-formed; pure, every fault at once. Reading files belongs to `contracts`."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

NEEDED_KEYS = {"source", "table", "schema_version", "grain", "key", "erasure", "columns"}
CONTRACT_KEYS = NEEDED_KEYS | {"version", "time", "late_arrival", "subjects", "references"}
COLUMN_KEYS = {"type", "required", "allowed", "unit", "min", "max", "zh", "pii", "identifies"}
TYPES = {"text", "option", "options", "integer", "money", "boolean", "date", "datetime"}
UNITS = {"fen", "yuan"}
PII_KINDS = {"name", "phone", "id_number", "free_text"}
ERASURES = {"erase", "restrict", "none"}
# How many columns make the rest of an identity's key, by kind.
KEY_COLUMNS = {"patient": 1, "lead": 1, "official_account_fan": 2, "wecom_contact": 2, "mini_program_user": 2}
NAME = re.compile(r"[a-z][a-z0-9_]*")


def contract_faults(document: Mapping[str, Any]) -> list[str]:
    """Every breach of the rules of contracts, as English sentences for developers; empty when well-formed."""
    shape = list(_shape_faults(document))
    if shape:
        return shape
    columns = document["columns"]
    faults = [fault for name, rules in columns.items() for fault in _column_faults(name, rules)]
    return faults or list(_reference_faults(document, columns))


def _shape_faults(document: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(document) - CONTRACT_KEYS, key=str):
        yield f"unknown key {key!r}"
    for key in sorted(NEEDED_KEYS - set(document)):
        yield f"{key} is missing"
    for key in ("source", "table"):
        if key in document and not (isinstance(document[key], str) and NAME.fullmatch(document[key])):
            yield f"{key} must be a lower-case name"
    if not isinstance(document.get("grain", ""), str):
        yield "grain must be text"
    if not _is_count(document.get("schema_version", 1)):
        yield "schema_version must be a positive whole number"
    if "columns" in document and not (isinstance(document["columns"], Mapping) and document["columns"]):
        yield "columns must be a mapping with at least one column"
    if "key" in document and not (isinstance(document["key"], list) and document["key"]):
        yield "key must be a list of columns"
    if ("version" in document) == ("time" in document):
        yield "exactly one of version and time must be given"
    if document.get("erasure", "none") not in ERASURES:
        yield f"erasure must be one of {', '.join(sorted(ERASURES))}"
    for key in ("subjects", "references"):
        if not _lists_persons(document.get(key, [])):
            yield f"{key} must be a list of entries like {{patient: [patient_id]}}"


def _column_faults(name: Any, rules: Any) -> Iterator[str]:
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        yield f"column {name!r} must be a lower-case name"
    if not isinstance(rules, Mapping):
        yield f"{name}: must be a mapping"
        return
    for key in sorted(set(rules) - COLUMN_KEYS, key=str):
        yield f"{name}: unknown key {key!r}"
    column_type = rules.get("type")
    if column_type not in TYPES:
        yield f"{name}: type must be one of {', '.join(sorted(TYPES))}"
        return
    if not (isinstance(rules.get("zh"), str) and rules["zh"]):
        yield f"{name}: zh (the Chinese name) is missing"
    if not isinstance(rules.get("required", False), bool):
        yield f"{name}: required must be true or false"
    if not isinstance(rules.get("identifies", False), bool):
        yield f"{name}: identifies must be true or false"
    if "pii" in rules and rules["pii"] not in PII_KINDS:
        yield f"{name}: pii must be one of {', '.join(sorted(PII_KINDS))}"
    if (column_type == "money") != ("unit" in rules) or ("unit" in rules and rules["unit"] not in UNITS):
        yield f"{name}: money, and only money, has the unit fen or yuan"
    yield from _allowed_faults(name, column_type, rules)
    yield from _bound_faults(name, column_type, rules)


def _allowed_faults(name: str, column_type: str, rules: Mapping[str, Any]) -> Iterator[str]:
    if "allowed" not in rules:
        if column_type == "option":
            yield f"{name}: an option lists its allowed values"
        return
    allowed = rules["allowed"]
    if column_type not in {"option", "options"}:
        yield f"{name}: only option and options have allowed values"
    elif not (isinstance(allowed, list) and allowed and all(isinstance(value, str) for value in allowed)):
        yield f"{name}: allowed must be a list of texts"
    elif any(value != unicodedata.normalize("NFKC", value).strip() or not value for value in allowed):
        # Text is normalised while loading, so another spelling could never match.
        yield f"{name}: allowed values must be NFKC-normalised and trimmed"
    elif len(set(allowed)) != len(allowed):
        yield f"{name}: allowed values repeat"


def _bound_faults(name: str, column_type: str, rules: Mapping[str, Any]) -> Iterator[str]:
    for bound in {"min", "max"} & set(rules):
        if not _is_bound(rules[bound], column_type):
            yield f"{name}: {bound} must be a whole number (integer, money) or an ISO day (date)"


def _reference_faults(document: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    for name in document["key"]:
        if name not in columns:
            yield f"key column {name!r} is no column"
        elif not columns[name].get("required", False):
            yield f"key column {name!r} must be required"
    for key, types in (("version", {"datetime", "integer"}), ("time", {"datetime"})):
        if key in document and columns.get(document[key], {}).get("type") not in types:
            yield f"{key} must name a column of type {' or '.join(sorted(types))}"
    yield from _erasure_faults(document, columns)
    late = document.get("late_arrival")
    if late is None:
        return
    if "version" in document:
        # When a row last changed says nothing about when it was due: an old phone number is still the phone number.
        yield "late_arrival is for append-only tables; a versioned table has none"
    elif not isinstance(late, Mapping) or set(late) != {"column", "accept_days"} or not _is_count(late["accept_days"]):
        yield "late_arrival must give column and accept_days (positive)"
    elif late["column"] != document["time"]:
        yield "late_arrival.column must name the table's time"


def _erasure_faults(document: Mapping[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    subjects, references = document.get("subjects", []), document.get("references", [])
    if (document["erasure"] == "none") != (not subjects) or (references and not subjects):
        yield "subjects are given exactly when erasure is not none, references only beside subjects"
    for name in [name for person in [*subjects, *references] for names in person.values() for name in names]:
        if columns.get(name, {}).get("type") != "text":
            yield f"{name!r} is part of a person's key, so it must be a text column"
    # Another person's key, and in a row that stays everybody's, is replaced by one pseudonym.
    for person in [*references, *(subjects if document["erasure"] == "restrict" else [])]:
        if any(len(names) > 1 for names in person.values()):
            yield "a key of several columns may stand only in a row that is erased, as its subject"
    for name, rules in columns.items():
        emptied = document["erasure"] == "restrict" and ("pii" in rules or rules.get("identifies", False))
        if emptied and (name in document["key"] or (rules.get("required", False) and rules["type"] != "text")):
            yield f"{name}: a restricted row cannot be emptied of it"


def _lists_persons(listed: Any) -> bool:
    return isinstance(listed, list) and all(
        isinstance(person, Mapping)
        and len(person) == 1
        and all(
            isinstance(names, list) and len(names) == KEY_COLUMNS.get(kind) and all(isinstance(n, str) for n in names)
            for kind, names in person.items()
        )
        for person in listed
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_bound(value: Any, column_type: str) -> bool:
    if column_type in {"integer", "money"}:
        return isinstance(value, int) and not isinstance(value, bool)
    if column_type != "date":
        return False
    if isinstance(value, str):
        try:
            date.fromisoformat(value)
        except ValueError:
            return False
        return True
    return isinstance(value, date)
