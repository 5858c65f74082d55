"""What it takes to ask a filter: the permissions over the personal fields that it names. Pure."""

from collections.abc import Iterator

from api.access.masking import CLASSES, permissions_for_class
from api.access.permissions import Permission
from segment_engine.catalog import Catalog, Field
from segment_engine.checked import CheckedGroup
from segment_engine.depends import depends_on


def permissions_of(checked: CheckedGroup, catalog: Catalog) -> frozenset[Permission]:
    """All of them; a customer shows up only where the caller holds each on that customer."""
    classes = {field.permission for field in _fields(checked, catalog)}
    return frozenset(permission for name in classes for permission in permissions_for_class(name))


def classes_with(permissions: frozenset[Permission]) -> frozenset[str]:
    """The classes of fields that somebody sees who holds these permissions."""
    return frozenset(name for name, needed in CLASSES.items() if needed <= permissions)


def _fields(checked: CheckedGroup, catalog: Catalog) -> Iterator[Field]:
    for name in depends_on(checked).fields:
        source, _, field = name.rpartition(".")
        yield catalog.sources[source].fields[field] if source else catalog.attributes[field]
