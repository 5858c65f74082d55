"""Who a job runs for: its owner with the roles of now, narrowed as the key was with which the job was asked for."""

from sqlalchemy import Connection, select

from api.access.actors import Actor, Grant, Level, ScopeChannel
from api.jobs.model import Job
from api.storage.tables.access import actor, actor_role, role


def current_owner(connection: Connection, job: Job) -> Actor | None:
    """The owner as they are now; None when they left."""
    query = (
        select(
            actor.c.kind, actor.c.name, actor.c.staff_id,
            actor_role.c.role_id, actor_role.c.clinic_id, role.c.permissions, role.c.data_scope,
        )
        .outerjoin(actor_role, actor_role.c.actor_id == actor.c.id)
        .outerjoin(role, role.c.id == actor_role.c.role_id)
        .where(actor.c.id == job.owner_id, actor.c.kind == job.owner_kind, actor.c.is_active)
    )  # fmt: skip
    rows = connection.execute(query).all()
    if not rows:
        return None
    return Actor(
        kind=job.owner_kind,
        id=job.owner_id,
        name=rows[0].name,
        staff_id=rows[0].staff_id,
        scopes=job.owner_scopes,
        grants=tuple(
            Grant(
                row.role_id,
                row.clinic_id,
                frozenset(row.permissions),
                {ScopeChannel(channel): Level(level) for channel, level in row.data_scope.items()},
            )
            for row in rows
            if row.role_id is not None
        ),
    )
