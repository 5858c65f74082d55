"""`/v1/files/{token}`: the link is the proof, so no key is asked for; every fetch is in the audit log."""

import os
from collections.abc import Iterator
from typing import Annotated, BinaryIO
from urllib.parse import quote

from fastapi import Path, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from api.access.guard import public
from api.audit.log import Entry, append
from api.caller import Caller
from api.clock import now
from api.contract import answers
from api.dependencies import Store
from api.edge.prefix_router import PrefixRouter
from api.errors import NotFoundError
from api.files.store import StoredFile, fetchable
from segment_engine.problems import Problem

router = PrefixRouter(prefix="/v1/files", tags=["jobs"])

CHUNK = 1 << 16
UNKNOWN_LINK = Problem(
    "link_unknown_or_expired", "", "链接无效或已过期,请重新导出", "This link is unknown or has expired; export again."
)
ANSWERS = {
    200: {"description": "The file / 文件", "content": {"application/octet-stream": {}}},
    **answers(404),
}


@router.get("/{token}", response_class=StreamingResponse, responses=ANSWERS)
@public
def fetch_file(token: Annotated[str, Path(max_length=100)], request: Request, store: Store) -> StreamingResponse:
    """The file of a link / 下载导出文件."""
    with store.read() as connection:
        file = fetchable(connection, token, now=now())
    if file is None:
        raise NotFoundError(UNKNOWN_LINK)
    try:
        # Opened before it is promised: the sweeper may be at it.
        handle = file.path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(UNKNOWN_LINK) from None
    try:
        store.write(lambda connection: _note(connection, file, request))
        size = os.fstat(handle.fileno()).st_size
    except BaseException:
        handle.close()
        raise
    headers = {
        "Content-Disposition": f"attachment; filename=\"export\"; filename*=UTF-8''{quote(file.name)}",
        "Content-Length": str(size),
    }
    return StreamingResponse(_chunks(handle), media_type=file.media_type, headers=headers)


def _note(connection: Connection, file: StoredFile, request: Request) -> None:
    address = request.client.host if request.client else None
    caller = Caller(file.owner_kind, file.owner_id, file.owner_name, request.state.request_id, address)
    after = {"job_id": file.job_id, "rows": file.rows}
    append(connection, caller, Entry("export.downloaded", "export_file", file.id, after=after), now=now())


def _chunks(handle: BinaryIO) -> Iterator[bytes]:
    with handle:
        while chunk := handle.read(CHUNK):
            yield chunk
