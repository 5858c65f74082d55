"""Which files there are, for how long, and whose they are."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, literal, select, update

from api.access.owners import actor_now
from api.access.permissions import Permission
from api.caller import CallerKind
from api.exports.target import remove_target
from api.files.links import link_token, token_hash
from api.storage.database import Database
from api.storage.tables.jobs import export_file, job
from api.storage.types import Moment

# Far longer than any export takes: what is older and known to no row was left by a crash.
LEFTOVER_AGE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is about to be written; `name` is what its reader will call it."""

    id: str
    job_id: str
    path: Path
    name: str
    media_type: str
    rows: int
    expires_at: datetime

    @property
    def result(self) -> Mapping[str, Any]:
        """What the job's row says of it; the answer adds the link."""
        return {"file_id": self.id, "name": self.name, "rows": self.rows, "expires_at": self.expires_at.isoformat()}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that may be fetched now, and on whose behalf."""

    id: str
    job_id: str
    path: Path
    name: str
    media_type: str
    rows: int
    owner_kind: CallerKind
    owner_id: str
    owner_name: str


def record_file(connection: Connection, file: NewFile, *, secret: bytes, now: datetime) -> None:
    """Note a file before it is written, so that whoever must remove it knows of it however the writing ends.

    It is fetched by its link, which nobody has before the job that writes it succeeded.
    """
    connection.execute(
        insert(export_file).values(
            id=file.id,
            job_id=file.job_id,
            token_hash=token_hash(link_token(secret, file.id, file.expires_at.isoformat())),
            path=str(file.path.absolute()),
            name=file.name,
            media_type=file.media_type,
            row_count=file.rows,
            created_at=now,
            expires_at=file.expires_at,
        )
    )


def fetchable(connection: Connection, token: str, *, now: datetime) -> StoredFile | None:
    """The file of a link; None for an unknown or expired one, a deleted file, an owner who may not export now."""
    query = (
        select(export_file, job.c.owner_kind, job.c.owner_id, job.c.owner_scopes)
        .join(job, job.c.id == export_file.c.job_id)
        .where(export_file.c.token_hash == token_hash(token), export_file.c.expires_at > now)
        .where(export_file.c.deleted_at.is_(None))
    )
    row = connection.execute(query).one_or_none()
    owner = None if row is None else actor_now(connection, row.owner_kind, row.owner_id, scopes=row.owner_scopes)
    if row is None or owner is None or not owner.may(Permission.CUSTOMER_EXPORT):
        return None
    return StoredFile(
        id=row.id,
        job_id=row.job_id,
        path=Path(row.path),
        name=row.name,
        media_type=row.media_type,
        rows=row.row_count,
        owner_kind=row.owner_kind,
        owner_id=row.owner_id,
        owner_name=owner.name,
    )


def give_up_files(connection: Connection, *, now: datetime) -> list[Path]:
    """No file there is can be fetched any more; `remove_target` them after the commit, the sweeper does it again."""
    there = update(export_file).where(export_file.c.path.is_not(None))
    gone = there.values(deleted_at=_deleted(now)).returning(export_file.c.path)
    return [Path(row.path) for row in connection.execute(gone)]


def sweep_files(database: Database, folder: Path, *, now: datetime) -> int:
    """Remove files that expired or were deleted, and what crashes left; returns how many. Repeated after a crash."""
    with database.read() as connection:
        named = connection.execute(select(export_file).where(export_file.c.path.is_not(None))).all()
    gone = [row for row in named if row.expires_at <= now or row.deleted_at is not None]
    for row in gone:
        remove_target(Path(row.path))
    if gone:
        which = update(export_file).where(export_file.c.id.in_([row.id for row in gone]))
        database.write(lambda connection: connection.execute(which.values(path=None, deleted_at=_deleted(now))))
    return len(gone) + _sweep_leftovers(folder, {Path(row.path).name for row in named}, now)


def _deleted(now: datetime) -> ColumnElement[datetime]:
    return func.coalesce(export_file.c.deleted_at, literal(now, Moment()))


def _sweep_leftovers(folder: Path, known: set[str], now: datetime) -> int:
    oldest = (now - LEFTOVER_AGE).timestamp()
    left = 0
    for file in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps too
            if file.name not in known and file.stat().st_mtime < oldest:
                file.unlink()
                left += 1
    return left
