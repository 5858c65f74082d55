"""Rows of the four WeCom tables: contacts, the employees who follow them, the phones these noted, the tags they put."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample import names
from pipelines.sample.accounts import Accounts
from pipelines.sample.batches import Rows
from pipelines.sample.chain import CORP_ID
from pipelines.sample.dental_words import WECOM_TAGS
from pipelines.sample.draw import (
    DAY,
    Dice,
    Ints,
    Rng,
    between,
    chance,
    choose,
    moment,
    never,
    only,
    option,
    repeat_each,
    texts,
)
from pipelines.sample.people import WOMAN, People
from pipelines.sample.phones import WRONG, phone_numbers, slots_of
from pipelines.sample.world import World

_WAYS = ("扫描二维码", "搜索手机号", "名片分享", "群聊", "手机通讯录", "微信联系人", "员工活码", "其他")
_WAY = Dice((0.3, 0.2, 0.06, 0.05, 0.03, 0.06, 0.28, 0.02))
_PHONE = Dice((0.9, 0.05, 0.03, 0.02))  # right, mistyped, the former one, the front desk's
_TAG_IDS = tuple(f"etQ7AAAA{place:03d}" for place in range(len(WECOM_TAGS)))


@dataclass(frozen=True, slots=True)
class Followers:
    """Which employee follows which contact, as columns."""

    contact: Ints
    place: Ints  # 0 for the first employee of a contact
    staff: Ints
    since: Ints


def wecom_rows(world: World, chunk: int, people: People, contacts: Accounts) -> dict[str, Rows]:
    """Rows of wecom/external_contacts, wecom/followers, wecom/remark_phones and wecom/contact_tags."""
    rng = world.rng(chunk, "wecom")
    followers = _followers(world, rng, people, contacts)
    return {
        "wecom/external_contacts": _contact_rows(world, rng, people, contacts),
        "wecom/followers": _follower_rows(world, rng, people, contacts, followers),
        "wecom/remark_phones": _phone_rows(world, rng, people, contacts, followers),
        "wecom/contact_tags": _tag_rows(world, rng, contacts, followers),
    }


def _followers(world: World, rng: Rng, people: People, contacts: Accounts) -> Followers:
    """One or two employees of the home clinic per contact; the second is a consultant and comes later."""
    contact, place = repeat_each(1 + (rng.random(contacts.size) < 0.22).astype(np.int64))
    clinic = people.clinic[contacts.person[contact]]
    service = world.chain.draw_staff(rng, "客服", clinic)
    staff = np.where(place == 0, service, world.chain.draw_staff(rng, "咨询师", clinic))
    later = contacts.since[contact] + place * between(rng, 3600, 40 * DAY, len(contact))
    keep = later < world.season.close
    return Followers(contact=contact[keep], place=place[keep], staff=staff[keep], since=later[keep])


def _contact_rows(world: World, rng: Rng, people: People, contacts: Accounts) -> Rows:
    size = contacts.size
    told = contacts.unions.is_not_null().to_numpy()
    # A unionid may be found long after the contact was added: some come with a later change.
    late = told & chance(rng, size, 0.06)
    found_at = np.minimum(contacts.since + between(rng, DAY, 90 * DAY, size), world.season.close - 60)
    changed = np.where(late, np.maximum(found_at, contacts.since), contacts.since)
    nickname = texts(names.NICKNAMES, between(rng, 0, len(names.NICKNAMES) - 1, size))
    frame = pl.DataFrame(
        {
            "corp_id": pl.repeat(CORP_ID, size, eager=True),
            "external_user_id": contacts.ids,
            "unionid": contacts.unions,
            "nickname": choose(chance(rng, size, 0.2), people.names.gather(contacts.person), nickname),
            "gender": option(("男", "女", "未知"), np.where(chance(rng, size, 0.8), people.gender[contacts.person], 2)),
            "contact_type": option(("微信", "企业微信"), (rng.random(size) < 0.02).astype(np.int64)),
            "is_deleted": never(size),
            "created_at": moment(contacts.since),
            "updated_at": moment(changed),
        }
    )
    before = {"unionid": pl.lit(None), "updated_at": pl.col("created_at")}
    return Rows(frame=frame, born=contacts.since, changed=changed, before=before)


def _follower_rows(world: World, rng: Rng, people: People, contacts: Accounts, followers: Followers) -> Rows:
    size = len(followers.contact)
    person = contacts.person[followers.contact]
    removed_at = followers.since + between(rng, DAY, 300 * DAY, size)
    removed = chance(rng, size, 0.06) & (removed_at < world.season.close)
    changed = np.where(removed, removed_at, followers.since)
    frame = pl.DataFrame(
        {
            **_keys(world, contacts, followers, np.arange(size, dtype=np.int64)),
            "remark": _remark(rng, people, person),
            "description": only(
                texts(("周末联系", "怕疼", "关注价格"), between(rng, 0, 2, size)), chance(rng, size, 0.1)
            ),
            "add_way": option(_WAYS, _WAY.throw(rng, size)),
            "state": only(texts(("qr_desk", "qr_douyin", "qr_live"), between(rng, 0, 2, size)), chance(rng, size, 0.3)),
            "followed_at": moment(followers.since),
            "removed_at": moment(removed_at, removed),
            "removed_by": only(option(("员工", "客户"), between(rng, 0, 1, size)).cast(pl.String), removed),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"removed_at": pl.lit(None), "removed_by": pl.lit(None), "updated_at": pl.col("followed_at")}
    return Rows(frame=frame, born=followers.since, changed=changed, before=before)


def _remark(rng: Rng, people: People, person: Ints) -> pl.Series:
    """What staff call a contact: the name, the name with a word, or whose parent it is."""
    size = len(person)
    own = people.names.gather(person)
    worded = own + texts(("-正畸", "-种植意向", "(老客户)", " 周六来"), between(rng, 0, 3, size))
    parent = own + texts(("爸爸", "妈妈"), (people.gender[person] == WOMAN).astype(np.int64))
    named = choose(chance(rng, size, 0.3), worded, own)
    return choose(people.keeps_child[person] & chance(rng, size, 0.5), parent, named)


def _phone_rows(world: World, rng: Rng, people: People, contacts: Accounts, followers: Followers) -> Rows:
    """Three employees in five note a phone, sometimes a wrong one; so two of them may note different ones."""
    noted = np.flatnonzero(chance(rng, len(followers.contact), 0.6))
    person = contacts.person[followers.contact[noted]]
    noted = noted[~people.is_child[person]]
    person = contacts.person[followers.contact[noted]]
    size, kind = len(noted), _PHONE.throw(rng, len(noted))
    kind = np.where((followers.place[noted] == 1) & chance(rng, size, 0.2), 1, kind)
    phone = people.phone.gather(person)
    phone = choose(kind == 1, phone_numbers(0, slots_of(people.numbers[person], WRONG)), phone)
    phone = choose(kind == 2, people.former_phone.gather(person), phone)
    phone = choose(kind == 3, texts(world.chain.desk_phones, people.clinic[person]), phone)
    at = followers.since[noted] + between(rng, 60, 5 * DAY, size)
    at = np.where(at < world.season.close, at, followers.since[noted])
    frame = pl.DataFrame(
        {
            **_keys(world, contacts, followers, noted),
            "phone": phone,
            "position": pl.Series(np.zeros(size, dtype=np.int64)),
            "noted_at": moment(at),
            "is_deleted": pl.Series(chance(rng, size, 0.01)),
            "updated_at": moment(at),
        }
    )
    return Rows(frame=frame, born=at, changed=at)


def _tag_rows(world: World, rng: Rng, contacts: Accounts, followers: Followers) -> Rows:
    counts = Dice((0.35, 0.35, 0.2, 0.1)).throw(rng, len(followers.contact))
    at, place = repeat_each(counts)
    size = len(at)
    tag = (between(rng, 0, len(WECOM_TAGS) - 1, len(counts))[at] + place * 5) % len(WECOM_TAGS)
    tagged = followers.since[at] + between(rng, 60, 30 * DAY, size)
    tagged = np.where(tagged < world.season.close, tagged, followers.since[at])
    taken_at = tagged + between(rng, DAY, 100 * DAY, size)
    taken = chance(rng, size, 0.05) & (taken_at < world.season.close)
    changed = np.where(taken, taken_at, tagged)
    frame = pl.DataFrame(
        {
            **_keys(world, contacts, followers, at),
            "tag_id": texts(_TAG_IDS, tag),
            "group_name": texts([t[0] for t in WECOM_TAGS], tag),
            "tag_name": texts([t[1] for t in WECOM_TAGS], tag),
            "tag_type": option(("企业标签", "个人标签", "规则组标签"), (tag == len(WECOM_TAGS) - 1).astype(np.int64)),
            "tagged_at": moment(tagged),
            "is_deleted": pl.Series(taken),
            "updated_at": moment(changed),
        }
    )
    before = {"is_deleted": pl.lit(False), "updated_at": pl.col("tagged_at")}
    return Rows(frame=frame, born=tagged, changed=changed, before=before)


def _keys(world: World, contacts: Accounts, followers: Followers, at: Ints) -> dict[str, pl.Series]:
    return {
        "corp_id": pl.repeat(CORP_ID, len(at), eager=True),
        "external_user_id": contacts.ids.gather(followers.contact[at]),
        "wecom_user_id": texts(world.chain.wecom_ids, followers.staff[at]),
    }
