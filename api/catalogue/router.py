"""`/v1/catalogue`."""

import hashlib
from typing import Annotated, Any

from fastapi import Header, Path, Query, Response
from pydantic import TypeAdapter

from api.access.guard import CurrentActor, requires
from api.access.permissions import Permission
from api.catalogue.answer import catalogue_answer, permitted_part
from api.catalogue.candidates import customer_values, source_values
from api.catalogue.schemas import CandidateQuery, CandidateValues, Catalogue, CatalogueQuery, SourceValues
from api.contract import answers
from api.customers.current import CurrentSight
from api.dependencies import Catalogs, Reader
from api.edge.prefix_router import PrefixRouter
from api.shapes import Text
from api.versions import is_unchanged
from segment_engine.interchange import fields_of

router = PrefixRouter(prefix="/v1/catalogue", tags=["catalogue"])

Name = Annotated[str, Path(), Text(1, 64)]
_REACT_FIELDS = TypeAdapter(list[dict[str, Any]])


@router.get(
    "",
    response_model=Catalogue | list[dict[str, Any]],
    responses={304: {"description": "As before / 无变化"}},
)
@requires(Permission.CUSTOMER_VIEW)
def read_catalogue(
    query: Annotated[CatalogueQuery, Query()],
    reader: Reader,
    catalogs: Catalogs,
    actor: CurrentActor,
    if_none_match: Annotated[str | None, Header(description="The ETag seen last")] = None,
) -> Response:
    """What filters may speak of: fields, sources, operators, limits; `ETag` says whether it changed / 筛选目录."""
    with reader.cursor() as (cursor, pointer):
        catalog = catalogs.of(pointer)
        if query.format is None:
            body = catalogue_answer(cursor, pointer, catalog, actor).model_dump_json().encode()
        else:
            body = _REACT_FIELDS.dump_json(fields_of(permitted_part(catalog, actor)))
    # Not the version alone: roles differ in what they are told, and releases in what they know of one version.
    tag = f'"{pointer.version}-{hashlib.sha256(body).hexdigest()[:16]}"'
    if is_unchanged(tag, if_none_match):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, media_type="application/json", headers={"ETag": tag})


@router.get("/fields/{field}/values", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def list_candidate_values(
    field: Name,
    query: Annotated[CandidateQuery, Query()],
    reader: Reader,
    catalogs: Catalogs,
    sight: CurrentSight,
) -> CandidateValues:
    """Values that the caller's customers have in a field, the most frequent first / 候选值."""
    return customer_values(reader, catalogs, sight, field, query)


@router.get("/sources/{source}/fields/{field}/values", responses=answers(404))
@requires(Permission.CUSTOMER_VIEW)
def list_source_values(
    source: Name,
    field: Name,
    query: Annotated[CandidateQuery, Query()],
    reader: Reader,
    catalogs: Catalogs,
    sight: CurrentSight,
) -> SourceValues:
    """Values in a field of a source's rows of the caller's customers, the most frequent first / 数据源候选值."""
    return source_values(reader, catalogs, sight, source, field, query)
