"""Rows of saas/patients and saas/patient_phones: what the front desk wrote down about a person, right or wrong.

Children's files carry a parent's number, as 父亲/母亲 or wrongly as 本人; the desk's own mobile and landlines stand on
many files; former numbers stay; a number that was handed on stands on two persons' files.
"""

import numpy as np
import polars as pl

from pipelines.sample import names
from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import REMARKS, SOURCES
from pipelines.sample.draw import (
    DAY,
    Bools,
    Dice,
    Ints,
    Rng,
    between,
    chance,
    choose,
    day,
    join,
    moment,
    nothing,
    only,
    option,
    texts,
)
from pipelines.sample.files import Files
from pipelines.sample.people import MAN, People
from pipelines.sample.phones import RELATIVE, phone_numbers, slots_of
from pipelines.sample.season import clinic_seconds
from pipelines.sample.world import World

PATIENT_TYPES = ("临时患者", "普通患者", "正畸患者", "种植患者", "儿牙患者", "会员患者")
RELATIONS = ("本人", "父亲", "母亲", "配偶", "子女", "其他")
SELF, FATHER, MOTHER, SPOUSE, OFFSPRING, OTHER = range(6)
# What stands first on the file of an adult: own number, none, the desk's, a landline, (the former one), a child's.
_ADULT_FIRST = Dice((0.913, 0.035, 0.025, 0.012, 0.0, 0.015))
# And of a child: a parent's named so, the same as 本人, the desk's, none, the child's own.
_CHILD_FIRST = Dice((0.56, 0.32, 0.04, 0.06, 0.02))
_EDITED = 0.005


def patient_rows(world: World, chunk: int, people: People, files: Files, created: Ints) -> Rows:
    """Rows of saas/patients; one in two hundred was edited in the last days, which makes history."""
    rng = world.rng(chunk, "saas/patients")
    season, chain, size = world.season, world.chain, files.size
    person = files.person
    edited_at = (season.last - between(rng, 0, 2, size)) * DAY + clinic_seconds(rng, size)
    edited = chance(rng, size, _EDITED) & (edited_at > created + DAY)
    changed = np.where(edited, edited_at, created)
    city = chain.cities[files.clinic]
    source = between(rng, 0, len(SOURCES) - 1, size)
    level = Dice((0.78, 0.12, 0.07, 0.03)).throw(rng, size)
    kind = np.array((1, 2, 3, 4))[files.kind]
    kind = np.where((kind == 1) & (level > 0), 5, np.where((kind == 1) & chance(rng, size, 0.06), 0, kind))
    referrer = files.ids.gather(between(rng, 0, max(size - 1, 0), size)) if size else nothing(0)
    known_birth = chance(rng, size, np.where(files.copy == 1, 0.8, 0.9))
    frame = pl.DataFrame(
        {
            "patient_id": files.ids,
            "clinic_id": texts(chain.clinic_ids, files.clinic),
            "medical_record_no": join("BL", people.numbers[person] * 2 + files.copy + 100_000),
            "name": _names(rng, people, files),
            "nickname": only(
                people.names.gather(person).str.slice(-1) + "宝", people.is_child[person] & chance(rng, size, 0.25)
            ),
            "gender": option(("男", "女", "未知"), np.where(chance(rng, size, 0.98), people.gender[person], 2)),
            "birth_date": day(people.born[person], known_birth),
            "id_number": only(people.id_numbers.gather(person), chance(rng, size, 0.18)),
            "city": only(texts([c[1] for c in names.CITIES], city), chance(rng, size, 0.92)),
            "patient_type": option(PATIENT_TYPES, kind),
            "source_level_1": texts([s[0] for s in SOURCES], source),
            "source_level_2": texts([s[1] for s in SOURCES], source),
            "source_level_3": only(texts([s[2] for s in SOURCES], source), chance(rng, size, 0.8)),
            "remark": only(texts(REMARKS, between(rng, 0, len(REMARKS) - 1, size)), chance(rng, size, 0.14)),
            "member_level": option(("普通", "银卡", "金卡", "钻石"), level),
            "online_consultant_id": _staff(world, rng, "网电咨询师", files.clinic, source % 15 < 8),
            "consultant_id": _staff(world, rng, "咨询师", files.clinic, chance(rng, size, 0.8)),
            "responsible_doctor_id": texts(chain.staff_ids, files.doctor),
            "customer_service_id": _staff(world, rng, "客服", files.clinic, chance(rng, size, 0.7)),
            "referrer_patient_id": only(referrer, (source < 2) & chance(rng, size, 0.6)),
            "is_deleted": pl.Series((files.copy == 1) & chance(rng, size, 0.1)),
            "created_at": moment(created),
            "updated_at": moment(changed),
        }
    )
    before = {
        "remark": pl.lit(None),
        "member_level": pl.lit("普通"),
        "is_deleted": pl.lit(False),
        "updated_at": pl.col("created_at"),
    }
    return Rows(frame=frame, born=created, changed=changed, before=before)


def _names(rng: Rng, people: People, files: Files) -> pl.Series:
    """The person's name; on one duplicate in twelve as the desk heard it: 王先生 or with a word added."""
    own = people.names.gather(files.person)
    polite = own.str.slice(0, 1) + texts(("先生", "女士"), people.gender[files.person])
    heard = choose(people.is_child[files.person], own + "(儿童)", polite)
    return choose((files.copy == 1) & chance(rng, files.size, 0.08), heard, own)


def _staff(world: World, rng: Rng, role: str, clinics: Ints, where: Bools) -> pl.Series:
    return only(texts(world.chain.staff_ids, world.chain.draw_staff(rng, role, clinics)), where)


def phone_rows(world: World, chunk: int, people: People, files: Files, created: Ints) -> Rows:
    """Rows of saas/patient_phones: none to three numbers per file, at most one of them 本人 and primary."""
    rng = world.rng(chunk, "saas/patient_phones")
    parts = [_first_numbers(world, rng, people, files), *_more_numbers(rng, people, files)]
    file = np.concatenate([part[0] for part in parts])
    place = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part[0]) for part in parts])
    relation = np.concatenate([part[2] for part in parts])
    size = len(file)
    gone = (place == 2) & chance(rng, size, 0.5)
    changed_at = np.minimum(created[file] + between(rng, DAY, 400 * DAY, size), world.season.close - 7200)
    changed = np.where(gone, np.maximum(changed_at, created[file]), created[file])
    frame = pl.DataFrame(
        {
            "patient_phone_id": join(
                "PP", 10**10 + (people.numbers[files.person[file]] * 2 + files.copy[file]) * 4 + place
            ),
            "patient_id": files.ids.gather(file),
            "phone": pl.concat([part[1] for part in parts]),
            "relation": option(RELATIONS, relation),
            "is_primary": pl.Series(place == 0),
            "is_deleted": pl.Series(gone),
            "updated_at": moment(changed),
        }
    )
    before = {"is_deleted": pl.lit(False), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=created[file], changed=changed, before=before)


Numbers = tuple[Ints, pl.Series, Ints]


def _first_numbers(world: World, rng: Rng, people: People, files: Files) -> Numbers:
    person, chain, size = files.person, world.chain, files.size
    child = people.is_child[person]
    adult_way = _ADULT_FIRST.throw(rng, size)
    # Of those who changed numbers a third never told the desk, whoever has the former number now.
    stale = people.changed_phone[person] & chance(rng, size, 0.35)
    adult_way = np.where((adult_way == 0) & stale, 4, adult_way)
    child_way = _CHILD_FIRST.throw(rng, size)
    head, mate = people.head[person], people.mate[person]
    parent = np.where((mate >= 0) & chance(rng, size, 0.5), mate, head)
    desk, landline = texts(chain.desk_phones, files.clinic), texts(chain.clinic_phones, files.clinic)
    spare = phone_numbers(0, slots_of(people.numbers[person], RELATIVE))
    phone = people.phone.gather(np.where(child, parent, person))
    phone = choose(np.where(child, child_way == 2, adult_way == 2), desk, phone)
    phone = choose(~child & (adult_way == 3), landline, phone)
    phone = choose(~child & (adult_way == 4), people.former_phone.gather(person), phone)
    phone = choose(np.where(child, child_way == 4, adult_way == 5), spare, phone)
    named = np.where(people.gender[parent] == MAN, FATHER, MOTHER)
    relation = np.where(child, np.where(child_way == 0, named, SELF), np.where(adult_way == 5, OFFSPRING, SELF))
    at = np.flatnonzero(np.where(child, child_way != 3, adult_way != 1))
    return at, phone.gather(at), relation[at]


def _more_numbers(rng: Rng, people: People, files: Files) -> tuple[Numbers, Numbers]:
    """A spouse's or second parent's number, and a former number of one's own."""
    person, size = files.person, files.size
    child = people.is_child[person]
    mate = people.mate[person]
    at = np.flatnonzero((mate >= 0) & chance(rng, size, np.where(child, 0.1, 0.14)))
    other = mate[at]
    named = np.where(people.gender[other] == MAN, FATHER, MOTHER)
    second = (at, people.phone.gather(other), np.where(child[at], named, SPOUSE))
    old = np.flatnonzero(people.changed_phone[person] & chance(rng, size, 0.55))
    return second, (old, people.former_phone.gather(person[old]), np.full(len(old), SELF, dtype=np.int64))
