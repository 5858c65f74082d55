"""`/v1/catalogue`."""

from typing import Annotated

from fastapi import Path, Query

from api.access.guard import requires
from api.access.permissions import Permission
from api.customers.candidates import CandidateField, CandidateQuery, CandidateValues, candidate_values
from api.customers.router import CurrentSight
from api.dependencies import Reader
from api.edge.prefix_router import PrefixRouter
from api.shapes import Choice

router = PrefixRouter(prefix="/v1/catalogue", tags=["catalogue"])


@router.get("/fields/{field}/values")
@requires(Permission.CUSTOMER_VIEW)
def list_candidate_values(
    field: Annotated[Choice[CandidateField], Path()],
    query: Annotated[CandidateQuery, Query()],
    reader: Reader,
    sight: CurrentSight,
) -> CandidateValues:
    """Values that the caller's customers have in a field, the most frequent first / 候选值."""
    return candidate_values(reader, sight, field, query)
