"""Stable ids: which customer of last night each of tonight's components continues.

Every old id goes to one component (its heir), every component keeps one of the ids that fell to it (the survivor), a
component with none revives its founder's earlier id or gets a new one. An id that was merged goes back to its records
where the id they have now goes to others (`former.py`). Events are told in `history.py`.
"""

import duckdb
import numpy as np

from pipelines.identity.encode import Records
from pipelines.identity.former import find_claims
from pipelines.identity.frames import fetch_ints, has_repeats, is_there, one_row, store
from pipelines.identity.model import KINDS, IdentityConfig, Ints
from pipelines.identity.state import State

_WEIGHTS = np.array([weight for _, weight in sorted(KINDS.values())])


def label_components(
    con: duckdb.DuckDBPyConnection,
    state: State,
    component: Ints,
    records: Records,
    *,
    config: IdentityConfig,
    is_part: bool,
) -> Ints:
    """Give every component its id; returns the customer_key of each rec.

    Reads assignment and registry before the night, and the log. Leaves `night_member` (rec, row, component, old,
    weight, was_present), `night_heir` (old, component, weight, held: the id its records have, another one where a
    merged id comes back), `night_merged` (old, customer_key), `night_fresh` (component, row, generation, is_revived,
    customer_key), and in `tonights_registry` what the night replaces of the registry.
    """
    store(
        con,
        "night_member",
        {
            "rec": np.arange(records.count, dtype=np.int32),
            "row": records.row.astype(np.int32),
            "component": component.astype(np.int32),
            "old": records.old.astype(np.int32),
            "weight": _WEIGHTS[records.kind_rank],
            "was_present": records.was_present.astype(np.int8),
        },
    )
    assignment, registry = state.before("assignment"), state.before("registry")
    con.execute(_OVERLAP)
    if is_there(con, "select 1 from night_torn limit 1"):
        find_claims(con, state)
        con.execute(_TORN_HEIR.format(assignment=assignment, registry=registry))
    con.execute(_SURVIVOR.format(registry=registry, log=state.log))
    key_of_component = np.full(records.count, -1, dtype=np.int32)
    survivor, survivor_key = fetch_ints(con, "select component, customer_key from night_survivor")
    key_of_component[survivor] = survivor_key
    # A component's label is its founder's rec.
    nameless = np.flatnonzero((key_of_component < 0) & (component == np.arange(records.count)))
    key_of_component[nameless] = _name(con, state, nameless, records.row[nameless])
    _write_registry(con, state, is_part=is_part, salt=config.salt)
    return key_of_component[component]


def tonights_registry(state: State, *, is_part: bool) -> str:
    """The relation with the ids that the night replaces: a night of everybody writes them where they stay at once."""
    return "night_registry" if is_part else state.now("registry")


def _write_registry(con: duckdb.DuckDBPyConnection, state: State, *, is_part: bool, salt: str) -> None:
    before, now, tonight = state.before("registry"), state.now("registry"), tonights_registry(state, is_part=is_part)
    if is_part:
        con.execute(f"create or replace temp table {tonight} as from {before} limit 0")
    con.execute(_REGISTRY.format(tonight=tonight, registry=before), {"night": state.night, "salt": salt})
    (hashes,) = fetch_ints(con, f"select hash(one_id) from {tonight}")
    taken = is_part and is_there(con, _TAKEN_IDS.format(untouched=now))
    assert not taken and not has_repeats(hashes), "two founders hash to one id: change the salt"
    if is_part:
        con.execute(f"insert into {now} from {tonight}")


def _name(con: duckdb.DuckDBPyConnection, state: State, component: Ints, row: Ints) -> Ints:
    """Write `night_fresh`: the founder's free earlier id for each of these components, else the next new one.

    An id that an earlier run of the night minted has the key that it had then; nobody else ever gets that.
    """
    known = {"registry": state.before("registry"), "untouched": state.now("registry")}
    handed_out = state.now("handed_out")
    store(con, "night_nameless", {"component": component.astype(np.int32), "row": row.astype(np.int32)})
    generation, revived = np.zeros(component.size, dtype=np.int64), np.full(component.size, -1)
    (last_key,) = one_row(con, _LAST_KEY.format(**known, handed_out=handed_out))
    if last_key >= 0:
        founder, next_generation, earlier = fetch_ints(con, _EARLIER.format(**known))
        place = np.searchsorted(component, founder)
        generation[place], revived[place] = next_generation, earlier
    is_revived = revived >= 0
    customer_key = revived.copy()
    founder, minted_generation, key = fetch_ints(con, _MINTED_BEFORE.format(handed_out=handed_out))
    place = np.searchsorted(component, founder)
    is_same = ~is_revived[place] & (generation[place] == minted_generation)
    customer_key[place[is_same]] = key[is_same]
    is_new = customer_key < 0
    customer_key[is_new] = last_key + 1 + np.arange(np.count_nonzero(is_new))
    store(
        con,
        "night_fresh",
        {
            "component": component.astype(np.int32),
            "row": row.astype(np.int32),
            "generation": generation.astype(np.int32),
            "is_revived": is_revived,
            "customer_key": customer_key.astype(np.int32),
        },
    )
    return customer_key


_OVERLAP = """
    create or replace temp table night_overlap as
    select old, component, sum(weight)::bigint as weight, min(rec) as first_rec, sum(was_present) as stayed
    from night_member
    where old >= 0
    group by old, component;

    create or replace temp table night_torn as select old from night_overlap group by old having count(*) > 1;

    create or replace temp table night_heir as
    select old, component, weight, old as held from night_overlap anti join night_torn using (old)
"""

# Nearly every id lies in one component; only those that were torn apart are ranked, and those merged into them that may
# come back. A component with exactly the records that the id had last night goes first: a record that returns takes no
# id from an unchanged customer. A guest goes last, whatever it weighs: it would leave the hosts without their id.
_TORN_HEIR = """
    insert into night_heir
    with
    torn as (
        select *, old as held, null::integer as parent from night_overlap semi join night_torn using (old)
        union all by name
        select * from night_claim
    ),
    founders as (
        select torn.old, member.component
        from (select distinct old, held from torn) as torn
        inner join {registry} as registry on torn.old = registry.customer_key
        inner join night_record as record on registry.founder_key = record.key
        inner join night_member as member on record.row = member.row and torn.held = member.old
    ),
    last_sizes as (
        select last.customer_key as old, count(*) as records
        from {assignment} as last
        semi join night_torn as torn on last.customer_key = torn.old
        where last.present
        group by last.customer_key
    ),
    sizes as (
        select component, count(*) as records from night_member semi join torn using (component) group by component
    ),
    ranked as (
        select
            torn.*,
            row_number() over (
                partition by torn.old
                order by
                    coalesce(torn.stayed = sizes.records and torn.stayed = last_sizes.records, false) desc,
                    guest.old is not null,
                    torn.weight desc,
                    (founders.old is not null) desc,
                    torn.first_rec
            ) as place
        from torn
        inner join sizes using (component)
        left join last_sizes on torn.old = last_sizes.old
        left join night_guest as guest on torn.old = guest.old and torn.component = guest.component
        left join founders on torn.old = founders.old and torn.component = founders.component
    ),
    going as (select old, component, weight, held, parent from ranked where place = 1)
    -- A merged id whose records go where the id goes that it was merged into stays merged.
    select old, component, weight, held
    from going
    anti join going as above on going.parent = above.old and going.component = above.component
"""

# Of ids of one night, one that went into another of them before does so again.
_SURVIVOR = """
    create or replace temp table night_survivor as
    with
    crowded as (select component from night_heir group by component having count(*) > 1),
    rival as (
        select heir.*, registry.one_id, registry.minted_night
        from night_heir as heir
        semi join crowded using (component)
        inner join {registry} as registry on heir.old = registry.customer_key
    ),
    yielded as (
        select distinct rival.old
        from rival
        inner join {log} as log on log.event = 'ID_MERGED' and rival.one_id = log.from_id
        semi join rival as other on log.to_id = other.one_id and rival.component = other.component
    ),
    ranked as (
        select
            rival.*,
            row_number() over (
                partition by rival.component
                order by rival.minted_night, yielded.old is not null, rival.weight desc, rival.one_id
            ) as place
        from rival
        left join yielded using (old)
    )
    select component, old as customer_key from night_heir anti join crowded using (component)
    union all
    select component, old from ranked where place = 1;

    create or replace temp table night_merged as
    select heir.old, survivor.customer_key
    from night_heir as heir
    inner join night_survivor as survivor using (component)
    where heir.old <> survivor.customer_key
"""

# An earlier id of the founder is free when nobody of tonight held it; an id that the night does not touch is held. One
# that was merged is not free: those who held it are where it leads, or claimed it.
_EARLIER = """
    with
    founded as (
        select nameless.component, record.key as founder_key
        from night_nameless as nameless
        inner join night_record as record using (row)
    ),
    known as (
        select *, true as is_touched from {registry}
        union all
        select *, false from {untouched}
    )
    select
        founded.component,
        max(registry.generation) + 1 as next_generation,
        coalesce(
            arg_min(registry.customer_key, registry.generation) filter (
                registry.is_touched and registry.status in ('active', 'dormant') and heir.old is null
            ),
            -1
        ) as revived
    from founded
    inner join known as registry using (founder_key)
    left join night_heir as heir on registry.customer_key = heir.old
    group by founded.component
"""

_LAST_KEY = """
    select greatest(
        (select coalesce(max(customer_key), -1) from {registry}),
        (select coalesce(max(customer_key), -1) from {untouched}),
        (select coalesce(max(customer_key), -1) from {handed_out})
    ) as customer_key
"""

_MINTED_BEFORE = """
    select nameless.component, minted.generation, minted.customer_key
    from {handed_out} as minted
    inner join night_record as record on minted.founder_key = record.key
    inner join night_nameless as nameless using (row)
"""

_REGISTRY = """
    insert into {tonight}
    with
    living as (
        select customer_key from night_survivor
        union all
        select customer_key from night_fresh where is_revived
    ),
    carried_on as (
        select
            last.*,
            case
                when living.customer_key is not null then 'active'
                when merged.old is not null then 'merged'
                when last.status = 'active' then 'dormant'
                else last.status
            end as new_status,
            case
                when living.customer_key is not null then null
                when merged.old is not null then target.one_id
                else last.merged_into
            end as new_target
        from {registry} as last
        left join living using (customer_key)
        left join night_merged as merged on last.customer_key = merged.old
        left join {registry} as target on merged.customer_key = target.customer_key
    )
    select
        one_id,
        customer_key,
        founder_key,
        generation,
        minted_night,
        new_status as status,
        new_target as merged_into,
        case
            when status = new_status and merged_into is not distinct from new_target then changed_night
            else $night
        end as changed_night
    from carried_on
    union all
    select
        'C' || left(sha256($salt || '|' || record.key || '|' || fresh.generation), 16),
        fresh.customer_key,
        record.key,
        fresh.generation,
        $night,
        'active',
        null,
        $night
    from night_fresh as fresh
    inner join night_record as record using (row)
    where not fresh.is_revived
"""

_TAKEN_IDS = """
    select one_id from night_registry semi join night_fresh using (customer_key) semi join {untouched} using (one_id)
"""
