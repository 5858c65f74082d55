"""Why records moved: the link that is new or withdrawn tonight, or the operator row behind it.

A merge is explained by the first new link, in replay order, that ties the old id's records to others; a split by the
first withdrawn link that held the two parts together. Only the customers that changed are looked at. A withdrawn link
is told apart from a standing one by hashes, so its value can be named while anybody still carries it.
"""

import duckdb
import numpy as np
import pyarrow as pa

from pipelines.identity.encode import TIER_BITS, Records
from pipelines.identity.frames import fetch_ints, store
from pipelines.identity.history import value_hashes
from pipelines.identity.keys import masked_sql
from pipelines.identity.model import Ints
from pipelines.identity.state import State
from pipelines.identity.value_states import Links


def find_causes(con: duckdb.DuckDBPyConnection, state: State, links: Links, component: Ints, records: Records) -> None:
    """Write `night_cause`, one row per (old id, component it lost records to); needs the view `night_assignment`.

    night_cause: old, component, is_known, value_type, value_masked, via_key, override_id
    """
    con.execute(_TURNED)
    if not con.execute("select 1 from night_turned limit 1").fetchone():
        con.execute(_NO_CAUSE)
        return
    con.execute(_INVOLVED.format(assignment=state.before("assignment")))
    con.execute(_WAS_LINK.format(carried=state.before("carried")))
    _store_links_of_tonight(con, links, component, records)
    con.execute(_CHANGED_OVERRIDE.format(seen=state.before("override_seen")))
    for step in (_JOINED, _TORN, _DECIDED):
        con.execute(step.format(tier_bits=TIER_BITS))
    con.execute(_CAUSE.format(masked=masked_sql("value.value_type", "value.value")))


def _store_links_of_tonight(con: duckdb.DuckDBPyConnection, links: Links, component: Ints, records: Records) -> None:
    """Write `night_now_link`: the accepted links of the components involved."""
    (involved,) = fetch_ints(con, "select distinct component from night_involved where component >= 0")
    marks = np.zeros(records.count, dtype=np.bool_)
    marks[involved] = True
    chosen = marks[component[links.rec]]
    rec, val = links.rec[chosen], links.val[chosen]
    store(
        con,
        "night_now_link",
        {
            "rec": rec,
            "idx": records.idx[rec],
            "old": records.old[rec],
            "component": component[rec],
            "val": val,
            "strength": links.strength[chosen],
            "key_hash": pa.array(records.key_hash[rec]),
            "value_hash": pa.array(value_hashes(con)[val]),
        },
    )


_TURNED = """
    create or replace temp table night_turned as
    select distinct old, component from night_assignment where old >= 0 and old <> customer_key
"""

_NO_CAUSE = """
    create or replace temp table night_cause (
        old integer, component integer, is_known boolean, value_type varchar, value_masked varchar, via_key varchar,
        override_id varchar
    )
"""

# The old ids that met, every component their records are in tonight, and their records that are gone (component -1).
_INVOLVED = """
    create or replace temp table night_involved_old as
    select old from night_turned
    union
    select old from night_member semi join night_turned using (component) where old >= 0;

    create or replace temp table night_involved as
    with
    components as (
        select component from night_turned
        union
        select component from night_member semi join night_involved_old using (old)
    )
    select member.rec, member.old, member.component, record.key, hash(record.key) as key_hash
    from night_member as member
    semi join components using (component)
    inner join night_record as record using (row)
    union all
    select -1, last.customer_key, -1, last.key, hash(last.key)
    from {assignment} as last
    semi join night_involved_old on last.customer_key = night_involved_old.old
    anti join night_record on last.key = night_record.key
"""

_WAS_LINK = """
    create or replace temp table night_was_link as
    select involved.key, involved.old, involved.component, link.key_hash, link.value_hash, link.strength
    from {carried} as link
    inner join night_involved as involved using (key_hash)
    where link.accepted
"""

_CHANGED_OVERRIDE = """
    create or replace temp table night_changed_override as
    (select id, kind, a, b from night_override except select id, kind, a, b from {seen})
    union all
    (select id, kind, a, b from {seen} except select id, kind, a, b from night_override)
"""

_JOINED = """
    create or replace temp table night_joined as
    with
    new_link as (select * from night_now_link anti join night_was_link using (key_hash, value_hash)),
    meeting as (
        select
            turned.old,
            turned.component,
            new_link.val,
            case when new_link.old = turned.old then other.rec else new_link.rec end as via,
            row_number() over (
                partition by turned.old, turned.component
                order by
                    new_link.strength >> {tier_bits}, new_link.idx, new_link.strength, value.value_type, value.value,
                    other.idx
            ) as place
        from night_turned as turned
        inner join new_link on turned.component = new_link.component
        inner join night_now_link as other
            on new_link.val = other.val
            and new_link.rec <> other.rec
            and (new_link.old = turned.old) <> (other.old = turned.old)
        inner join night_value as value on new_link.val = value.val
    )
    select meeting.old, meeting.component, meeting.val, involved.key as via_key
    from meeting
    inner join night_involved as involved on meeting.via = involved.rec
    where meeting.place = 1
"""

_TORN = """
    create or replace temp table night_torn as
    with
    gone as (select * from night_was_link anti join night_now_link using (key_hash, value_hash)),
    parting as (
        select
            turned.old,
            turned.component,
            gone.value_hash,
            case when gone.component = turned.component then other.key else gone.key end as via_key,
            row_number() over (
                partition by turned.old, turned.component
                order by gone.strength, gone.key, other.key, gone.value_hash
            ) as place
        from night_turned as turned
        inner join gone using (old)
        inner join night_was_link as other
            on gone.old = other.old
            and gone.value_hash = other.value_hash
            and gone.key_hash <> other.key_hash
            and (gone.component = turned.component) <> (other.component = turned.component)
    )
    select parting.old, parting.component, value.val, parting.via_key
    from parting
    left join night_value as value using (value_hash)
    where parting.place = 1
"""

# Operator rows about two records: given or revoked tonight, one of the two among the records that moved.
_DECIDED = """
    create or replace temp table night_decided as
    select
        turned.old,
        turned.component,
        min(said.id) as override_id,
        arg_min(other.key, (said.id, other.key)) as via_key
    from night_turned as turned
    inner join night_involved as one on turned.old = one.old and turned.component = one.component
    inner join night_changed_override as said on said.kind in ('merge', 'split') and one.key in (said.a, said.b)
    inner join night_involved as other on other.key in (said.a, said.b) and other.key <> one.key
    where (other.old = turned.old) <> (other.component = turned.component)
    group by turned.old, turned.component
"""

_CAUSE = """
    create or replace temp table night_cause as
    with
    swallowed as (
        select heir.old, heir.component
        from night_heir as heir
        semi join night_merged on heir.old = night_merged.old
    ),
    -- A merged id is explained by what joined; records torn off an id that lives on, by what let go.
    link_cause as (
        select
            turned.old,
            turned.component,
            case when joined_first then coalesce(joined.val, torn.val) else coalesce(torn.val, joined.val) end as val,
            case
                when joined_first or torn.val is null then coalesce(joined.via_key, torn.via_key)
                else torn.via_key
            end as via_key
        from (
            select turned.*, swallowed.old is not null as joined_first
            from night_turned as turned
            left join swallowed on turned.old = swallowed.old and turned.component = swallowed.component
        ) as turned
        left join night_joined as joined on turned.old = joined.old and turned.component = joined.component
        left join night_torn as torn on turned.old = torn.old and turned.component = torn.component
    )
    select
        link_cause.old,
        link_cause.component,
        decided.override_id is not null or value.val is not null as is_known,
        case when decided.override_id is null then value.value_type end as value_type,
        case when decided.override_id is null then {masked} end as value_masked,
        coalesce(decided.via_key, case when value.val is not null then link_cause.via_key end) as via_key,
        coalesce(
            decided.override_id,
            (
                select min(said.id)
                from night_changed_override as said
                where
                    (said.kind in ('block', 'allow', 'owner') and said.a = value.value)
                    or (said.kind = 'detach' and said.b = value.value)
            )
        ) as override_id
    from link_cause
    left join night_decided as decided
        on link_cause.old = decided.old and link_cause.component = decided.component
    left join night_value as value on link_cause.val = value.val
"""
