"""The catalogue as `fields` of react-querybuilder: attributes as fields, sources as fields with fields of their own.

What the caller may not use is left out in `answer.py` before it comes here.
"""

from typing import Any

from segment_engine.catalog import Catalog, Field, Source
from segment_engine.operators import OPERATORS


def fields_of(catalog: Catalog) -> list[dict[str, Any]]:
    """Fields of the customer, then the sources, each as react-querybuilder reads them."""
    return [*map(_field, catalog.attributes.values()), *map(_source, catalog.sources.values())]


def _field(field: Field) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": field.name,
        "label": field.label_zh,
        "operators": [{"name": one.name, "label": one.zh} for one in OPERATORS[field.type].values()],
    }
    if field.options is not None:
        told["values"] = [{"name": value, "label": value} for value in field.options]
    return told


def _source(source: Source) -> dict[str, Any]:
    return {
        "name": source.name,
        "label": source.label_zh,
        "matchModes": ["atLeast", "none"],
        "subproperties": {"fields": [_field(field) for field in source.fields.values()]},
    }
