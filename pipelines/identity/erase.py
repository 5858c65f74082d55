"""Identity's state without the persons that were erased, copied into another file: keys become pseudonyms.

The log still replays: an erased record keeps its events, under its pseudonym and without what tied it to others. Who
is erased is decided elsewhere; the connection's temporary tables `erased_key` (key, pseudonym) and `erased_text` (text)
say so.
"""

from collections.abc import Sequence

import duckdb

from pipelines.identity.state import ensure_tables

# A value's state and tonight's links are found anew every night; of an erased person nothing may be left until then.
_SELECTS = {
    "assignment": """
        select
            coalesce(gone.pseudonym, state.key), one_id, customer_key, present and gone.key is null,
            case when {untied} then reason_value_type end,
            case when {untied} then reason_value_masked end,
            case when {untied} then reason_via_key end
        from {source} as state
        left join erased_key as gone on state.key = gone.key
        left join erased_key as via on state.reason_via_key = via.key
    """,
    "registry": """
        select
            one_id, customer_key, coalesce(gone.pseudonym, founder_key), generation, minted_night,
            case when lost.one_id is null then status else 'erased' end,
            case when lost.one_id is null then merged_into end,
            changed_night
        from {source} as state
        left join erased_key as gone on state.founder_key = gone.key
        left join erased_id as lost using (one_id)
    """,
    "value_state": """
        select * from {source} as state
        where
            value not in (select text from erased_text)
            and coalesce(owner_key not in (select key from erased_key), true)
    """,
    "conflict": """
        select * from {source} as state
        where
            left_key not in (select key from erased_key)
            and coalesce(right_key not in (select key from erased_key), true)
    """,
    "carried": "select * from {source} where key_hash not in (select hash(key) from erased_key)",
    "override_seen": """
        select * from {source} as state
        where
            not exists (select 1 from erased_key where key in (state.a, state.b))
            and not exists (select 1 from erased_text where text in (state.a, state.b))
    """,
    "event": """
        select
            night, seq, event, coalesce(gone.pseudonym, state.key), from_id, to_id,
            case when {untied} and lost.one_id is null then cause_value_type end,
            case when {untied} and lost.one_id is null then cause_value_masked end,
            case when {untied} and lost.one_id is null then via_key end,
            override_id
        from {source} as state
        left join erased_key as gone on state.key = gone.key
        left join erased_key as via on state.via_key = via.key
        left join erased_id as lost on state.key is null and state.from_id = lost.one_id
    """,
    # No night has this fingerprint and this basis, so the next one resolves everybody anew; nothing is left to compare
    # with, and what there is now is the state that the last night would start from.
    "night": "select night, '', 'whole', '', summary from {source}",
    "settled": "select * from {source}",
    # An id that only the erased person was given leads nowhere; its customer_key stays taken.
    "handed_out": """
        select one_id, case when gone.key is null then founder_key else '' end, generation, customer_key
        from {source} as state
        left join erased_key as gone on state.founder_key = gone.key
    """,
}
_UNTIED = "gone.key is null and via.key is null"
_TWINS = ("assignment", "registry", "value_state", "conflict", "carried", "override_seen")


def copy_state(
    con: duckdb.DuckDBPyConnection, source: str, one_ids: Sequence[str], *, target: str = "identity"
) -> None:
    """Copy every table of the state schema `source` into the new schema `target`.

    What was resolved so far is settled by it: should the last night run again, it goes on from here, so that nobody who
    came that night gets another number because somebody else is gone. `one_ids` are those whose
    erasure was asked for; an id whose every record is erased is erased as well, and so is one that was merged into it.
    The log of that night gets an event ERASED per record: its pseudonym, and in `from_id` the id it had.
    """
    con.execute(_ERASED_IDS.format(source=source), {"one_ids": list(one_ids)})
    ensure_tables(con, target)
    for table, select in _SELECTS.items():
        con.execute(f"insert into {target}.{table} {select.format(source=f'{source}.{table}', untied=_UNTIED)}")
    for table in _TWINS:
        con.execute(f"insert into {target}.{table}_before from {target}.{table}")
    con.execute(_ERASED_EVENTS.format(source=source, target=target))
    con.execute(
        f"""
        insert into {target}.settled
        select night, max(seq) from {target}.event where night = (select max(night) from {target}.night) group by night
        """
    )


_ERASED_EVENTS = """
    insert into {target}.event (night, seq, event, key, from_id)
    with
    last as (
        select
            night,
            (select coalesce(max(seq), 0) from {target}.event as event where event.night = nights.night) as seq
        from (select max(night) as night from {target}.night having count(*) > 0) as nights
    )
    select last.night, last.seq + row_number() over (order by pseudonym), 'ERASED', pseudonym, one_id
    from {source}.assignment
    inner join erased_key using (key), last
"""

_ERASED_IDS = """
    create or replace temp table erased_id as
    with recursive
    emptied as (
        select one_id
        from {source}.assignment
        left join erased_key using (key)
        group by one_id
        having bool_and(pseudonym is not null)
    ),
    gone as (
        select unnest($one_ids::varchar[]) as one_id
        union
        select one_id from emptied
        union
        select state.one_id from {source}.registry as state inner join gone on state.merged_into = gone.one_id
    )
    select one_id from gone
"""
