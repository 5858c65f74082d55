"""Labels of options as one caller is told them: colleagues by name where the caller sees names, others masked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import duckdb

from api.access.actors import EVERY_CLINIC, Actor
from api.access.masking import mask_name
from api.access.permissions import Permission
from segment_engine.catalog import Catalog
from segment_engine.sentences import OptionLabels

STAFF: Final = "marts.dim_staff"
"""The dictionary whose labels are names of persons."""

Colleagues = Mapping[str, frozenset[str]]
"""At which clinics a member of staff works."""

_Key = tuple[str, str]


def read_colleagues(cursor: duckdb.DuckDBPyConnection, catalog: Catalog) -> Colleagues:
    """The clinics of everybody whom fields of the catalogue may name."""
    of_sources = (field for source in catalog.sources.values() for field in source.fields.values())
    told = (field.options_from for field in (*catalog.attributes.values(), *of_sources))
    found: dict[str, frozenset[str]] = {}
    for column in {one.value for one in told if one is not None and one.table == STAFF}:
        text = f"select {column}, list_append(coalesce(role_clinic_ids, []), clinic_id) from {STAFF}"
        found |= {str(one): frozenset(map(str, clinics)) for one, clinics in cursor.execute(text).fetchall()}
    return found


def labels_for(actor: Actor, labels: OptionLabels, colleagues: Colleagues) -> OptionLabels:
    """The labels as the caller is told them."""
    clinics = actor.clinics(Permission.CUSTOMER_NAME_VIEW)
    return labels if EVERY_CLINIC in clinics else _Masked(labels, colleagues, clinics)


@dataclass(frozen=True, slots=True)
class _Masked(Mapping[_Key, str]):
    """Only what is asked for is masked: a chain has thousands of colleagues, a filter names one."""

    labels: OptionLabels
    colleagues: Colleagues
    clinics: frozenset[str]

    def __getitem__(self, key: _Key) -> str:
        table, value = key
        label = self.labels[key]
        if table != STAFF or self.clinics & self.colleagues.get(value, frozenset()):
            return label
        return mask_name(label) or value

    def __iter__(self) -> Iterator[_Key]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)
