"""What the customer routes do: read from the version that is current when the request comes in, and mask."""

from typing import Any

from api.access.masking import masked
from api.access.permissions import Permission
from api.customers.cursor import CustomerCursor, InvalidCursorError
from api.customers.repository import Granted, list_customers, one_customer
from api.customers.schemas import Customer, CustomerAnswer, CustomerPage, CustomerQuery
from api.customers.sight import Sight
from api.errors import InvalidError, NotFoundError
from segment_engine.problems import Problem
from segment_engine.runtime.published import PublishedReader

NO_CUSTOMER = Problem("customer_unknown", "/path/one_id", "客户不存在", "There is no such customer.")


def customer_page(reader: PublishedReader, sight: Sight, query: CustomerQuery) -> CustomerPage:
    """One page of whom the caller sees; raises InvalidError, NotPermittedError."""
    after = _decoded(query)
    conditions, granted = sight.filtered(query, "/query"), sight.granted()
    with reader.cursor() as (cursor, pointer):
        # One row more than asked tells whether there is a next page.
        rows = list_customers(
            cursor,
            conditions,
            granted,
            sort=query.sort,
            sort_value=sight.sort_value(query.sort),
            after=after,
            limit=query.limit + 1,
        )
    page, more = rows[: query.limit], len(rows) > query.limit
    last = page[-1] if more else None
    return CustomerPage(
        version=pointer.version,
        as_of=pointer.as_of,
        customers=[shown(row, granted) for row in page],
        next_cursor=CustomerCursor(query.sort, last["sort_value"], last["customer_key"]).encode() if last else None,
    )


def customer_answer(reader: PublishedReader, sight: Sight, one_id: str) -> CustomerAnswer:
    """One customer; raises NotFoundError for one that the caller does not see as for one that is not there."""
    granted = sight.granted()
    with reader.cursor() as (cursor, pointer):
        row = one_customer(cursor, sight.conditions(), granted, one_id=one_id)
    if row is None:
        raise NotFoundError(NO_CUSTOMER)
    return CustomerAnswer(version=pointer.version, as_of=pointer.as_of, customer=shown(row, granted))


def permissions_on(row: dict[str, Any], granted: tuple[Granted, ...]) -> frozenset[Permission]:
    """Which permissions over personal fields the caller holds on the customer of this row."""
    return frozenset(one.permission for one in granted if row[one.column])


def shown(row: dict[str, Any], granted: tuple[Granted, ...]) -> Customer:
    """The customer of a row, personal fields masked where the caller may not see them."""
    return Customer.model_validate(masked(row, permissions_on(row, granted)))


def _decoded(query: CustomerQuery) -> CustomerCursor | None:
    if query.cursor is None:
        return None
    try:
        return CustomerCursor.decode(query.cursor, query.sort)
    except InvalidCursorError:
        problem = Problem("invalid_cursor", "/query/cursor", "翻页游标无效", "This is not a cursor of a former page.")
        raise InvalidError(problem) from None
