"""`/v1/filters`: a filter document in, what it means out. Nothing is changed, so no Idempotency-Key is asked for."""

from functools import partial

from fastapi import Request

from api.access.guard import requires
from api.access.permissions import Permission
from api.contract import answers
from api.customers.current import CurrentAsker
from api.dependencies import Catalogs, Filters, Reader
from api.edge.prefix_router import PrefixRouter
from api.filters.attended import attended
from api.filters.schemas import (
    ConversionAnswer,
    ConversionRequest,
    DescriptionAnswer,
    ExplainRequest,
    Explanation,
    FilterRequest,
    PreviewAnswer,
    PreviewRequest,
)
from api.filters.service import conversion_answer, description_answer, explain_answer, preview_answer

router = PrefixRouter(prefix="/v1/filters", tags=["filters"])


@router.post("/preview")
@requires(Permission.CUSTOMER_VIEW)
async def preview_filter(
    body: PreviewRequest, request: Request, filters: Filters, asker: CurrentAsker
) -> PreviewAnswer:
    """How many of the caller's customers a filter means, some of them, and its funnel / 筛选预览."""
    return await attended(request, filters, partial(preview_answer, filters, asker, body))


@router.post("/explain", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
async def explain_filter(body: ExplainRequest, request: Request, filters: Filters, asker: CurrentAsker) -> Explanation:
    """Why a customer is among those of a filter, or is not: every rule with its truth and evidence / 命中原因."""
    return await attended(request, filters, partial(explain_answer, filters, asker, body))


@router.post("/description")
@requires(Permission.CUSTOMER_VIEW)
async def describe_filter(
    body: FilterRequest, request: Request, filters: Filters, asker: CurrentAsker
) -> DescriptionAnswer:
    """A filter in Chinese and English, with what is odd about it and what it depends on / 筛选说明."""
    return await attended(request, filters, partial(description_answer, filters, asker, body))


@router.post("/conversion")
@requires(Permission.CUSTOMER_VIEW)
def convert_filter(body: ConversionRequest, reader: Reader, catalogs: Catalogs) -> ConversionAnswer:
    """From react-querybuilder's JSON to a filter, or back; whether it means anything is not asked / 格式转换."""
    with reader.cursor() as (_, pointer):
        catalog = catalogs.of(pointer)
    return conversion_answer(catalog, body)
