"""SQL of the review queues over the published version; values are always bound. Masking is done by the service.

A queue is a few CTEs that end in two:
    found    its rows: `ref` (opaque, unique, what pages are cut by), `since_night`, and what the row shows
    decided  (ref, place): which override in force decides which row
Rows that name a customer who must be forgotten are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from api.identity.review_schemas import Queue
from api.identity.value_refs import VALUE_REF, ref_sql
from api.keyset import Place


@dataclass(frozen=True, slots=True)
class Decision:
    """An override in force, as the queues look at it.

    is_new: the published version was made without it; b_masked: b as history masks values.
    """

    id: str
    kind: str
    a: str
    b: str
    b_masked: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """What a queue is read with: the predicate over `marts.dim_customer` with its values, and the others it binds."""

    visible: str
    values: Mapping[str, Any]

    def binding(self, decisions: Sequence[Decision], **more: Any) -> "Scope":
        """With the decisions, oldest first, and further values."""
        columns = {name: [getattr(one, name) for one in decisions] for name in Decision.__slots__}
        return Scope(self.visible, {**self.values, **columns, **more})


_CONTESTED = f"""
state as (select *, {VALUE_REF} as ref from marts.identity_value_state where state = 'contested'),
claim as (select ref, value, unnest(claimant_keys) as key from state),
detached as (
    select b as value, a as key, max(place) as place from decision where kind = 'detach' group by a, b
),
claimant as (
    select claim.ref, claim.key, customer.one_id, customer.name, detached.place, decision.id as detached_by
    from claim
    inner join identity on claim.key = identity.identity_key
    inner join customer on identity.one_id = customer.one_id
    left join detached on claim.value = detached.value and claim.key = detached.key
    left join decision on detached.place = decision.place
),
claimants as (
    select
        ref,
        list({{'key': key, 'one_id': one_id, 'name': name, 'detached_by': detached_by}} order by key) as claimants,
        count(*) filter (place is null) as still_claiming,
        max(place) as place
    from claimant
    group by ref
),
found as (
    select
        ref, since_night, value_type, value, value_masked, ref as value_ref, persons, adults, records, claimants
    from state
    inner join claimants using (ref)
),
decided as (
    select state.ref, decision.place
    from state
    inner join decision on state.value = decision.a and decision.kind in ('owner', 'block')
    union all
    select ref, place from claimants where still_claiming < 2 and place is not null
)
"""

_HUBS = f"""
found as (
    select
        {VALUE_REF} as ref, since_night, value_type, value, value_masked, {VALUE_REF} as value_ref, persons, unions,
        records
    from marts.identity_value_state
    where state = 'hub'
),
decided as (
    select found.ref, decision.place
    from found
    inner join decision on found.value = decision.a and decision.kind in ('allow', 'block')
)
"""

# Two values may look alike masked: then one row tells of both.
_CONFLICTS = f"""
refused as (
    select distinct
        *, {ref_sql("left_key", "coalesce(right_key, '')", "value_type", "value_masked", "tier", "reason")} as ref
    from marts.identity_conflict
),
found as (
    select
        refused.ref, since_night, value_type, value_masked as value, tier, reason,
        {{'key': left_key, 'one_id': left_one_id, 'name': one.name}} as left_side,
        case
            when right_key is not null then {{'key': right_key, 'one_id': right_one_id, 'name': other.name}}
        end as right_side
    from refused
    inner join customer as one on refused.left_one_id = one.one_id
    left join customer as other on refused.right_one_id = other.one_id
    left join identity as file on value_type = 'binding' and value_masked = file.identity_key
    where
        (right_key is null or other.one_id is not null)
        and (value_type <> 'binding' or file.identity_key is not null)
),
decided as (
    select refused.ref, decision.place
    from refused
    inner join decision
        on least(left_key, right_key) = decision.a
        and greatest(left_key, right_key) = decision.b
        and decision.kind in ('merge', 'split')
    union all
    select side.ref, decision.place
    from (
        select ref, left_key as key, value_masked from refused
        union all
        select ref, right_key, value_masked from refused
    ) as side
    inner join decision
        on side.key = decision.a
        and decision.kind = 'detach'
        and side.value_masked in (decision.b, decision.b_masked)
    union all
    select refused.ref, decision.place
    from refused
    inner join decision on refused.reason = 'split:' || decision.id
)
"""

# What was decided before the version was made is in it, and the row stands all the same.
_NEWLY_ABOUT = """
newly_about as (
    select a as key, place from decision where is_new and kind in ('merge', 'split', 'detach')
    union all
    select b, place from decision where is_new and kind in ('merge', 'split')
)
"""

_NEAR_LIMIT = f"""
near as (
    select
        near_limit.*,
        customer.name,
        greatest(100 * records // records_limit, 100 * unionids // unionids_limit) as percent
    from marts.identity_near_limit as near_limit
    inner join customer using (one_id, customer_key)
),
found as (
    select
        format('{{:05d}}', percent) || {ref_sql("one_id")} as ref, since_night, one_id, customer_key, name,
        list_filter(
            [
                {{'limit': 'customer_records', 'count': records, 'most': records_limit}},
                {{'limit': 'customer_unions', 'count': unionids, 'most': unionids_limit}}
            ],
            lambda one: list_contains(near_limits, one.limit)
        ) as limits
    from near
),
{_NEWLY_ABOUT},
decided as (
    select found.ref, newly_about.place
    from newly_about
    inner join identity on newly_about.key = identity.identity_key
    inner join found on identity.customer_key = found.customer_key
)
"""

_CHANGES = f"""
moves as (
    select
        event.from_one_id, event.to_one_id, event.identity_key as key, event.cause_value_type as value_type,
        event.override_id, via.identity_key as via_key,
        case when event.cause_value_type = 'binding' then file.identity_key else event.cause_value_masked end as value
    from marts.identity_event as event
    left join identity as via on event.via_identity_key = via.identity_key
    left join identity as file on event.cause_value_type = 'binding' and event.cause_value_masked = file.identity_key
    where event.night = (select night from served) and event.event in ('MOVED', 'ID_MERGED')
),
changed as (
    select review.*, one.name as from_name, other.name as to_name, {ref_sql("from_one_id", "to_one_id")} as ref
    from marts.identity_review as review
    inner join customer as other on review.to_one_id = other.one_id
    left join customer as one on review.from_one_id = one.one_id
    -- Merged away is no reason to hide a row, forgotten is.
    where one.one_id is not null or review.from_one_id not in (select one_id from marts.dim_customer)
),
moved as (
    select
        from_one_id, to_one_id,
        list(
            {{
                'key': key, 'value_type': value_type, 'value': value, 'via_key': via_key, 'override_id': override_id
            }}
            order by key
        ) as moved
    from moves
    where key is not null
    group by from_one_id, to_one_id
),
found as (
    select changed.*, night as since_night, coalesce(moved, []) as moved
    from changed
    left join moved using (from_one_id, to_one_id), served
),
{_NEWLY_ABOUT},
decided as (
    select ref, newly_about.place
    from changed
    inner join moves using (from_one_id, to_one_id)
    inner join newly_about using (key)
    union all
    select ref, decision.place
    from changed
    inner join moves using (from_one_id, to_one_id)
    inner join decision on moves.override_id = decision.id
)
"""

_QUEUES: Mapping[Queue, str] = {
    Queue.CONTESTED_VALUES: _CONTESTED,
    Queue.HUBS: _HUBS,
    Queue.CONFLICTS: _CONFLICTS,
    Queue.NEAR_LIMIT: _NEAR_LIMIT,
    Queue.CHANGES: _CHANGES,
}


def count_of_queue(cursor: duckdb.DuckDBPyConnection, queue: Queue, scope: Scope) -> tuple[int, int, int]:
    """How many rows there are, how many no override decides, and how many are of the served night."""
    statement = f"""
        {_with(queue, scope)}
        select
            count(*),
            count(*) filter (decided_by is null),
            count(*) filter (since_night = (select night from served))
        from queue
    """
    total, undecided, new = cursor.execute(statement, dict(scope.values)).fetchall()[0]
    return total, undecided, new


def page_of_queue(
    cursor: duckdb.DuckDBPyConnection,
    queue: Queue,
    scope: Scope,
    *,
    is_open: bool | None,
    after: Place | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` rows behind `after`, newest first: what `found` has, and `decided_by`."""
    conditions = ["true"]
    values = {**scope.values, "row_limit": limit}
    if is_open is not None:
        conditions.append(f"(decided_by is null) = {str(is_open).lower()}")
    if after is not None:
        conditions.append("(since_night, ref) < ($after_night, $after_ref)")
        values |= {"after_night": after.created_at.date(), "after_ref": after.id}
    statement = f"""
        {_with(queue, scope)}
        select *
        from queue
        where {" and ".join(conditions)}
        order by since_night desc, ref desc
        limit $row_limit
    """
    result = cursor.execute(statement, values)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _with(queue: Queue, scope: Scope) -> str:
    """The CTEs up to `queue`: its rows with `decided_by`, the newest override that decides each."""
    return f"""
        with
        served as (select $as_of::date as night),
        decision as (
            select
                unnest($id::varchar[]) as id,
                unnest($kind::varchar[]) as kind,
                unnest($a::varchar[]) as a,
                unnest($b::varchar[]) as b,
                unnest($b_masked::varchar[]) as b_masked,
                unnest($is_new::boolean[]) as is_new,
                generate_subscripts($id::varchar[], 1) as place
        ),
        customer as (select one_id, customer_key, name from marts.dim_customer where {scope.visible}),
        -- The keys that may be told.
        identity as (
            select identity_key, one_id, customer_key from marts.dim_identity semi join customer using (one_id)
        ),
        {_QUEUES[queue]},
        newest as (select ref, max(place) as place from decided group by ref),
        queue as (
            select found.*, decision.id as decided_by
            from found
            left join newest using (ref)
            left join decision on newest.place = decision.place
        )
    """
