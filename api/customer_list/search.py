"""A page of the customer list: who is meant and seen, sorted, with the columns that were asked for."""

from collections.abc import Iterator
from typing import Any

from api.access.masking import masked
from api.customer_list.columns import Layout, fields_of
from api.customer_list.cursor import Order, Place
from api.customer_list.repository import Sorted, page_of_keys
from api.customer_list.schemas import AudienceRun, ListedCustomer, SearchPage, SearchRequest
from api.customers.asking import Asker
from api.customers.repository import Granted, customers_by_key
from api.customers.selection import Selection, selected
from api.customers.service import permissions_on
from api.filters.audiences import KnownAudiences
from api.filters.evaluator import FilterEvaluator, Session
from segment_engine.runtime.limited import Budget
from segment_engine.tree import AudienceKind


def search_page(
    filters: FilterEvaluator, asker: Asker, layout: Layout, request: SearchRequest, budget: Budget
) -> SearchPage:
    """One page of whom the caller sees; raises InvalidError, NotPermittedError with every problem."""
    order = Order(request.sort.value, request.direction == "desc")
    by = Sorted(order, asker.sight.shown_value(order.column))
    with filters.session(budget) as session:
        selection, after = _asked(session, asker, request, order)
        # One row more than asked tells whether there is a next page.
        page = page_of_keys(session.cursor, selection.conditions, by, after=after, limit=request.limit + 1)
        return SearchPage(
            version=session.pointer.version,
            as_of=session.pointer.as_of,
            total=selection.count(session.cursor),
            customers=_listed(session, asker, page[: request.limit], _fields(request, layout)),
            audiences=[] if request.by_rule else [*_runs(request, asker.known)],
            next_cursor=page[request.limit - 1].encode(order) if len(page) > request.limit else None,
        )


def _asked(session: Session, asker: Asker, request: SearchRequest, order: Order) -> tuple[Selection, Place | None]:
    """Who is asked for, and from behind which place on."""
    places: list[Place] = []

    def read_cursor() -> None:
        if request.cursor is not None:
            places.append(Place.decode(request.cursor, order))

    def check_sort() -> None:
        asker.sight.require_shown(order.column, "/sort")

    return selected(session, asker, request, read_cursor, check_sort), next(iter(places), None)


def _fields(request: SearchRequest, layout: Layout) -> frozenset[str]:
    return fields_of(layout.names if request.columns is None else tuple(one.value for one in request.columns))


def _listed(session: Session, asker: Asker, page: list[Place], fields: frozenset[str]) -> list[ListedCustomer]:
    granted = asker.sight.granted()
    rows = customers_by_key(session.cursor, granted, [place.key for place in page])
    return [_shown(row, granted, fields) for row in rows]


def _shown(row: dict[str, Any], granted: tuple[Granted, ...], fields: frozenset[str]) -> ListedCustomer:
    seen = masked(row, permissions_on(row, granted))
    return ListedCustomer(one_id=seen["one_id"], **{name: seen[name] for name in seen if name in fields})


def _runs(request: SearchRequest, known: KnownAudiences) -> Iterator[AudienceRun]:
    for kind, ids in ((AudienceKind.TAG, request.tag_ids), (AudienceKind.SEGMENT, request.segment_ids)):
        for one in ids:
            name, moment = known.names.get((kind, one)), known.computed_at.get((kind, one))
            yield AudienceRun(kind=kind, id=one, name=name, computed_at=moment)
