"""Options that are rows of other published tables, as one caller is told them: clinics, and colleagues by name.

Values that customers really have are counted in `frequencies.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import duckdb

from api.access.actors import EVERY_CLINIC, Actor
from api.access.masking import mask_name
from api.access.permissions import Permission
from api.catalogue.schemas import Option
from segment_engine.catalog import Dictionary
from segment_engine.sentences import OptionLabels

STAFF: Final = "marts.dim_staff"
"""The dictionary whose labels are names of persons."""

MAX_OPTIONS: Final = 100


@dataclass(frozen=True, slots=True)
class Options:
    """The first MAX_OPTIONS of a dictionary by label, and whether there are more."""

    shown: tuple[Option, ...]
    has_more: bool


def options_of(
    cursor: duckdb.DuckDBPyConnection, dictionaries: Iterable[Dictionary], actor: Actor
) -> Mapping[Dictionary, Options]:
    """The options of each dictionary."""
    return {dictionary: _options(cursor, dictionary, actor) for dictionary in dict.fromkeys(dictionaries)}


def labels_of(cursor: duckdb.DuckDBPyConnection, dictionaries: Iterable[Dictionary], actor: Actor) -> OptionLabels:
    """The labels of all options of these dictionaries, for sentences: of colleagues as the caller is told them."""
    return {
        (dictionary.table, option.value): option.label
        for dictionary in dict.fromkeys(dictionaries)
        for option in _all(cursor, dictionary, actor)
    }


def _options(cursor: duckdb.DuckDBPyConnection, dictionary: Dictionary, actor: Actor) -> Options:
    found = _all(cursor, dictionary, actor)
    found.sort(key=lambda option: (option.label, option.value))
    return Options(tuple(found[:MAX_OPTIONS]), len(found) > MAX_OPTIONS)


def _all(cursor: duckdb.DuckDBPyConnection, dictionary: Dictionary, actor: Actor) -> list[Option]:
    return _colleagues(cursor, dictionary, actor) if dictionary.table == STAFF else _rows(cursor, dictionary)


def _rows(cursor: duckdb.DuckDBPyConnection, dictionary: Dictionary) -> list[Option]:
    statement = f"select {dictionary.value}, coalesce({dictionary.label}, {dictionary.value}) from {dictionary.table}"
    return [Option(value=value, label=label) for value, label in cursor.execute(statement).fetchall()]


def _colleagues(cursor: duckdb.DuckDBPyConnection, dictionary: Dictionary, actor: Actor) -> list[Option]:
    """The staff of the clinics whose customers the caller sees, named where it sees names."""
    seen, named = actor.clinics(Permission.CUSTOMER_VIEW), actor.clinics(Permission.CUSTOMER_NAME_VIEW)
    statement = f"""
        select {dictionary.value}, {dictionary.label}, list_append(coalesce(role_clinic_ids, []), clinic_id)
        from {dictionary.table}
    """
    return [
        Option(value=value, label=(label if _holds(named, clinics) else mask_name(label)) or value)
        for value, label, clinics in cursor.execute(statement).fetchall()
        if _holds(seen, clinics)
    ]


def _holds(held: frozenset[str], clinics: Iterable[str | None]) -> bool:
    return EVERY_CLINIC in held or any(clinic in held for clinic in clinics)
