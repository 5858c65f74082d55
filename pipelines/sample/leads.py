"""Leads (线索): who left a number with an advertisement, who followed up, and whose lead became a patient file."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.accounts import WeChat
from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import INTENTIONS, LEAD_CONTENT, SOURCES
from pipelines.sample.draw import (
    DAY,
    Bools,
    Dice,
    Ints,
    Rng,
    between,
    chance,
    choose,
    join,
    lookup,
    moment,
    never,
    only,
    option,
    own_ids,
    repeat_each,
    texts,
)
from pipelines.sample.files import Files
from pipelines.sample.people import WOMAN, People
from pipelines.sample.phones import WRONG, phone_numbers, slots_of
from pipelines.sample.season import clinic_seconds, phone_seconds
from pipelines.sample.world import World

LEAD_STATES = ("待分配", "待跟进", "跟进中", "已预约", "已到店", "已转化", "无效", "已回收")
WAITING, ASSIGNED, FOLLOWED, BOOKED, CAME, CONVERTED, INVALID, RECYCLED = range(8)
_OPEN = Dice((0.06, 0.12, 0.3, 0.08, 0.04, 0.0, 0.25, 0.15))
_EVENTS = ("创建", "分配", "领取", "回收", "转化")
_RESULTS = ("有意向", "考虑中", "无意向", "未接通", "已预约")
_NAMING = Dice((0.66, 0.2, 0.08, 0.06))  # full name, 王女士, first name only, nothing


@dataclass(frozen=True, slots=True)
class Leads:
    """The leads of one chunk, as columns."""

    person: Ints  # who left the number: for a child, a parent
    file: Ints  # the converted file, -1 without
    clinic: Ints
    state: Ints
    owner: Ints  # staff place
    created: Ints
    assigned: Ints
    converted: Ints
    ids: pl.Series


def leads_of(world: World, chunk: int, people: People, files: Files, file_created: Ints, wechat: WeChat) -> Leads:
    """The leads of one chunk: converted ones of new files, open ones of people who never became patients."""
    rng = world.rng(chunk, "leads")
    season = world.season
    fresh = np.flatnonzero(~files.is_old & (files.copy == 0) & chance(rng, files.size, 0.3))
    child = people.is_child[files.person[fresh]]
    asker = np.where(child, people.head[files.person[fresh]], files.person[fresh])
    strangers = ~people.has_file & ~people.is_child
    cold = np.flatnonzero(wechat.in_leads | (strangers & chance(rng, people.size, 0.4)))
    cold = np.concatenate([cold, cold[chance(rng, len(cold), 0.08)]])  # some leave the number twice
    person = np.concatenate([asker, cold])
    size, is_warm = len(person), np.arange(len(person)) < len(asker)
    file = np.concatenate([fresh, np.full(size - len(fresh), -1, dtype=np.int64)])
    lead_time = 3600 + rng.exponential(6 * DAY, size).astype(np.int64)
    at_will = season.online_days(rng, np.full(size, season.first)) * DAY + phone_seconds(rng, size)
    made = np.where(is_warm, _of(file_created, file) - lead_time, at_will)
    made = np.minimum(made, season.close - 120)
    state = np.where(is_warm, CONVERTED, _OPEN.throw(rng, size))
    clinic = np.where(is_warm, _of(files.clinic, file), people.clinic[person])
    return Leads(
        person=person,
        file=file,
        clinic=clinic,
        state=state,
        owner=world.chain.draw_staff(rng, "网电咨询师", clinic),
        created=made,
        assigned=np.minimum(made + between(rng, 120, 3500, size), season.close - 60),
        converted=np.where(is_warm, _of(file_created, file), season.close - 1),
        ids=own_ids("LD", chunk, size),
    )


def _of(values: Ints, places: Ints) -> Ints:
    return values[np.maximum(places, 0)] if len(values) else np.zeros(len(places), dtype=np.int64)


def lead_rows(world: World, chunk: int, people: People, files: Files, leads: Leads) -> Rows:
    """Rows of leads/leads."""
    rng = world.rng(chunk, "leads/leads")
    size, person, state = len(leads.person), leads.person, leads.state
    warm = state == CONVERTED
    settled = np.minimum(leads.assigned + between(rng, 3600, 30 * DAY, size), world.season.close - 30)
    changed = np.select([warm, state == WAITING], [leads.converted, leads.created], np.maximum(settled, leads.assigned))
    source = between(rng, 2, len(SOURCES) - 1, size)
    phone = people.phone.gather(person)
    typo = phone_numbers(0, slots_of(people.numbers[person], WRONG))
    phone = choose(chance(rng, size, 0.03), typo, phone)
    frame = pl.DataFrame(
        {
            "lead_id": leads.ids,
            "clinic_id": only(texts(world.chain.clinic_ids, leads.clinic), chance(rng, size, 0.9)),
            "name": _names(rng, people, person),
            "phone": only(phone, chance(rng, size, 0.97)),
            "gender": option(("男", "女", "未知"), np.where(chance(rng, size, 0.7), people.gender[person], 2)),
            "channel_level_1": texts([s[0] for s in SOURCES], source),
            "channel_level_2": texts([s[1] for s in SOURCES], source),
            "channel_level_3": only(texts([s[2] for s in SOURCES], source), chance(rng, size, 0.8)),
            "intention_item": only(
                texts(INTENTIONS, between(rng, 0, len(INTENTIONS) - 1, size)), chance(rng, size, 0.85)
            ),
            "status": option(LEAD_STATES, state),
            "owner_staff_id": only(texts(world.chain.staff_ids, leads.owner), state != WAITING),
            "converted_patient_id": lookup(files.ids, leads.file, warm),
            "converted_at": moment(leads.converted, warm),
            "is_deleted": never(size),
            "created_at": moment(leads.created),
            "updated_at": moment(changed),
        }
    )
    empty = {name: pl.lit(None) for name in ("owner_staff_id", "converted_patient_id", "converted_at")}
    before = {"status": pl.lit("待分配"), "updated_at": pl.col("created_at"), **empty}
    return Rows(frame=frame, born=leads.created, changed=changed, before=before)


def _names(rng: Rng, people: People, person: Ints) -> pl.Series:
    size = len(person)
    naming = _NAMING.throw(rng, size)
    full = people.names.gather(person)
    polite = full.str.slice(0, 1) + texts(("先生", "女士"), (people.gender[person] == WOMAN).astype(np.int64))
    named = choose(naming == 1, polite, choose(naming == 2, full.str.slice(1), full))
    return only(named, naming != 3)


def lead_event_rows(world: World, chunk: int, leads: Leads) -> Rows:
    """Rows of leads/assignment_events: 创建, then 分配 or 领取, then 回收 or 转化."""
    rng = world.rng(chunk, "leads/assignment_events")
    size = len(leads.person)
    taken = leads.state != WAITING
    back_at = leads.assigned + between(rng, DAY, 20 * DAY, size)
    back = (leads.state == RECYCLED) & (back_at < world.season.close)
    warm = leads.state == CONVERTED
    every = np.arange(size, dtype=np.int64)
    groups: list[tuple[Ints, Ints | int, Ints]] = [
        (every, 0, leads.created),
        (every[taken], 1 + (rng.random(int(taken.sum())) < 0.3).astype(np.int64), leads.assigned[taken]),
        (every[back], 3, back_at[back]),
        (every[warm], 4, leads.converted[warm]),
    ]
    lead = np.concatenate([places for places, _, _ in groups])
    event = np.concatenate([np.broadcast_to(kind, len(places)) for places, kind, _ in groups]).astype(np.int64)
    at = np.concatenate([when for _, _, when in groups])
    owner = texts(world.chain.staff_ids, leads.owner[lead])
    frame = pl.DataFrame(
        {
            "event_id": own_ids("LE", chunk, len(lead)),
            "lead_id": leads.ids.gather(lead),
            "event": option(_EVENTS, event),
            "from_staff_id": only(owner, event == 3),
            "to_staff_id": only(owner, (event == 1) | (event == 2)),
            "occurred_at": moment(at),
        }
    )
    return Rows(frame=frame, born=at, changed=at)


def lead_follow_up_rows(world: World, chunk: int, leads: Leads) -> Rows:
    """Rows of leads/follow_ups: one to three calls after the lead was assigned."""
    rng = world.rng(chunk, "leads/follow_ups")
    lead, place = repeat_each(
        np.where(leads.state == WAITING, 0, Dice((0.1, 0.4, 0.3, 0.2)).throw(rng, len(leads.state)))
    )
    at = (leads.assigned[lead] // DAY + place * between(rng, 1, 6, len(lead))) * DAY + clinic_seconds(rng, len(lead))
    at = np.maximum(at, leads.assigned[lead] + 300)
    keep: Bools = at < np.minimum(world.season.close, np.where(leads.file[lead] >= 0, leads.converted[lead], at + 1))
    lead, at = lead[keep], at[keep]
    size = len(lead)
    content = texts(LEAD_CONTENT, between(rng, 0, len(LEAD_CONTENT) - 1, size))
    frame = pl.DataFrame(
        {
            "follow_up_id": own_ids("LF", chunk, size),
            "lead_id": leads.ids.gather(lead),
            "staff_id": texts(world.chain.staff_ids, leads.owner[lead]),
            "channel": option(
                ("电话", "企微", "短信", "面谈", "外呼"), Dice((0.6, 0.25, 0.03, 0.02, 0.1)).throw(rng, size)
            ),
            "result": option(_RESULTS, Dice((0.25, 0.25, 0.2, 0.2, 0.1)).throw(rng, size)),
            "content": choose(chance(rng, size, 0.03), join(content, ';备注:"需家属同意"'), content),
            "followed_up_at": moment(at),
        }
    )
    return Rows(frame=frame, born=at, changed=at)
