"""The catalogue as one caller is told it: categories as a tree, operators with their words, what the caller may use."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Final

import duckdb

from api.access.actors import Actor
from api.access.masking import visible_classes
from api.catalogue.options import Options, options_of
from api.catalogue.schemas import (
    Catalogue,
    CatalogueField,
    CatalogueMetric,
    CatalogueOperator,
    CatalogueSource,
    FilterLimitsByUse,
    FirstLevel,
    Limits,
    Option,
    SecondLevel,
    ThirdLevel,
    ValueGroup,
)
from segment_engine.catalog import DATED, Catalog, Dictionary, Field, Source
from segment_engine.document import CUSTOMER_LIST, FilterLimits
from segment_engine.operators import OPERATORS, FieldType, Operator
from segment_engine.runtime.published import Pointer

_YUAN: Final = "元"
_Tree = dict[str, dict[str, dict[str, list[CatalogueField]]]]


def catalogue_answer(cursor: duckdb.DuckDBPyConnection, pointer: Pointer, catalog: Catalog, actor: Actor) -> Catalogue:
    """The catalogue of a version; fields that the caller sees masked are marked, not hidden."""
    fields = chain(catalog.attributes.values(), *(source.fields.values() for source in catalog.sources.values()))
    dictionaries = [field.options_from for field in fields if field.options_from is not None]
    telling = _Telling(visible_classes(actor), options_of(cursor, dictionaries, actor))
    return Catalogue(
        version=pointer.version,
        as_of=pointer.as_of,
        attributes=_tree(catalog.attributes.values(), telling),
        sources=[_source(source, telling) for source in catalog.sources.values()],
        operators={kind: [_operator(one) for one in known.values()] for kind, known in OPERATORS.items()},
        limits=FilterLimitsByUse(filter=_limits(FilterLimits()), customer_list=_limits(CUSTOMER_LIST)),
    )


def permitted_part(catalog: Catalog, actor: Actor) -> Catalog:
    """The catalogue without the fields that the caller may not use, for forms that have no word for such a field."""
    classes = visible_classes(actor)

    def kept(fields: Mapping[str, Field]) -> dict[str, Field]:
        return {name: field for name, field in fields.items() if _is_permitted(field, classes)}

    sources = {name: replace(source, fields=kept(source.fields)) for name, source in catalog.sources.items()}
    return replace(catalog, attributes=kept(catalog.attributes), sources=sources)


def _is_permitted(field: Field, classes: frozenset[str]) -> bool:
    return field.permission is None or field.permission in classes


@dataclass(frozen=True, slots=True)
class _Telling:
    """What differs between callers."""

    classes: frozenset[str]
    options: Mapping[Dictionary, Options]

    def field(self, field: Field) -> CatalogueField:
        permitted = _is_permitted(field, self.classes)
        options = self._options(field) if permitted else None
        return CatalogueField(
            name=field.name,
            type=field.type,
            label_zh=field.label_zh,
            label_en=field.label_en,
            unit=_YUAN if field.type is FieldType.MONEY else field.unit,
            options=None if options is None else list(options.shown),
            has_more_options=options is not None and options.has_more,
            has_values=field.type not in DATED,
            permission=field.permission,
            permitted=permitted,
            current_only=field.is_current_only,
        )

    def _options(self, field: Field) -> Options | None:
        if field.options_from is not None:
            return self.options[field.options_from]
        if field.options is None:
            return None
        return Options(tuple(Option(value=value, label=value) for value in field.options), has_more=False)


def _tree(fields: Iterable[Field], telling: _Telling) -> list[FirstLevel]:
    """Categories in the order in which the catalogue first names them."""
    tree: _Tree = {}
    for field in fields:
        first, second, third = field.category
        tree.setdefault(first, {}).setdefault(second, {}).setdefault(third, []).append(telling.field(field))
    return [
        FirstLevel(
            label=first,
            categories=[
                SecondLevel(
                    label=second, categories=[ThirdLevel(label=third, fields=held) for third, held in thirds.items()]
                )
                for second, thirds in seconds.items()
            ],
        )
        for first, seconds in tree.items()
    ]


def _source(source: Source, telling: _Telling) -> CatalogueSource:
    return CatalogueSource(
        name=source.name,
        category=list(source.category),
        label_zh=source.label_zh,
        label_en=source.label_en,
        time=source.time,
        known_at=source.known_at,
        fields=[telling.field(field) for field in source.fields.values()],
        metrics=[CatalogueMetric.model_validate(asdict(metric)) for metric in source.metrics],
        groups=[ValueGroup(label=label, values=list(values)) for label, values in source.groups.items()],
    )


def _operator(one: Operator) -> CatalogueOperator:
    return CatalogueOperator(name=one.name, label_zh=one.zh, label_en=one.en, value=one.shape, negative=one.is_negative)


def _limits(limits: FilterLimits) -> Limits:
    return Limits.model_validate(asdict(limits))
