"""What the customer routes do: a page from the version that is current when the request comes in."""

from api.customers.cursor import CustomerCursor, InvalidCursorError
from api.customers.repository import list_customers
from api.customers.schemas import Customer, CustomerPage, CustomerQuery
from api.errors import InvalidError, Problem
from segment_engine.runtime.published import PublishedReader


def customer_page(reader: PublishedReader, query: CustomerQuery) -> CustomerPage:
    """One page; raises InvalidError for a cursor that is not ours."""
    after = _decoded(query.cursor)
    with reader.cursor() as (cursor, pointer):
        # One row more than asked tells whether there is a next page.
        rows = list_customers(
            cursor, after=after, clinic_id=query.clinic_id, channel=query.channel, limit=query.limit + 1
        )
    page, more = rows[: query.limit], len(rows) > query.limit
    last = page[-1] if more else None
    return CustomerPage(
        version=pointer.version,
        as_of=pointer.as_of,
        customers=[Customer.model_validate(row) for row in page],
        next_cursor=CustomerCursor(last["created_at"], last["customer_key"]).encode() if last else None,
    )


def _decoded(cursor: str | None) -> CustomerCursor | None:
    if cursor is None:
        return None
    try:
        return CustomerCursor.decode(cursor)
    except InvalidCursorError:
        problem = Problem("invalid_cursor", "/query/cursor", "翻页游标无效", "This is not a cursor of a former page.")
        raise InvalidError(problem) from None
