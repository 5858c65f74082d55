"""WeChat accounts of persons: official-account fans, mini-program users, WeCom contacts; and who has which.

Their rows are written down in `official_account`, `mini_program` and `wecom`; what they do in `online`.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.draw import DAY, Bools, Ints, Rng, chance, only, tokens
from pipelines.sample.files import Files
from pipelines.sample.people import People, wechat_unions
from pipelines.sample.season import phone_seconds
from pipelines.sample.world import World

FAN_APPS = ("wx8d1f0a6c52b94e37", "wx2b7c90e1fa3d6845")  # the group's own, and one brand's own account
MINI_APP = "wx51e8c3d7a09f4b26"
WECHAT_AGE = 14
_OTHER_BRAND = 0.07  # fans of the brand's account: another open-platform subject, so no shared unionid


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts of one kind in one chunk, as columns."""

    person: Ints
    ids: pl.Series  # openid or external_user_id
    unions: pl.Series  # null where the platform does not tell
    since: Ints  # local second
    brand: Ints  # place in FAN_APPS; 0 for other kinds

    @property
    def size(self) -> int:
        """How many accounts."""
        return len(self.person)


@dataclass(frozen=True, slots=True)
class WeChat:
    """All accounts of a chunk."""

    fans: Accounts
    users: Accounts
    contacts: Accounts
    in_leads: Bools  # persons without any account or file: they exist as leads only


def wechat_of(world: World, chunk: int, people: People, files: Files) -> WeChat:
    """The accounts of one chunk: of persons of 14 and older.

    Of a person's accounts most carry the same unionid; one in seventy persons changed the WeChat account and has a
    second mini-program user with another unionid.
    """
    rng = world.rng(chunk, "accounts")
    size = people.size
    can = people.age(world.season.last) >= WECHAT_AGE
    contact_only = ~people.has_file
    is_fan = can & chance(rng, size, np.where(people.keeps_child, 0.6, np.where(contact_only, 0.4, 0.45)))
    is_user = can & chance(rng, size, np.where(people.keeps_child, 0.75, np.where(contact_only, 0.5, 0.5)))
    is_contact = can & chance(rng, size, np.where(people.keeps_child, 0.55, np.where(contact_only, 0.2, 0.4)))
    in_leads = contact_only & ~(is_fan | is_user | is_contact)
    unions = wechat_unions(rng, people)
    first = _first_touch(world, rng, people, files)
    changed_account = is_user & chance(rng, size, 0.015)
    users = _accounts(rng, world, np.flatnonzero(is_user), unions, first, head="oM5x", share=0.88)
    again = _accounts(
        rng, world, np.flatnonzero(changed_account), wechat_unions(rng, people), first, head="oM5x", share=0.9
    )
    fans = _accounts(rng, world, np.flatnonzero(is_fan), unions, first, head="oF7k", share=0.86)
    brand = chance(rng, fans.size, _OTHER_BRAND).astype(np.int64)
    return WeChat(
        fans=Accounts(
            person=fans.person,
            ids=fans.ids,
            unions=only(fans.unions, brand == 0),
            since=fans.since,
            brand=brand,
        ),
        users=Accounts(
            person=np.concatenate([users.person, again.person]),
            ids=pl.concat([users.ids, again.ids]),
            unions=pl.concat([users.unions, again.unions]),
            since=np.concatenate([users.since, again.since]),
            brand=np.zeros(users.size + again.size, dtype=np.int64),
        ),
        contacts=_accounts(rng, world, np.flatnonzero(is_contact), unions, first, head="wmQ2AAAA", share=0.72),
        in_leads=in_leads,
    )


def _first_touch(world: World, rng: Rng, people: People, files: Files) -> Ints:
    """The day number each person first met the chain: with the first file of the person or of a child, or alone."""
    season = world.season
    alone = season.online_days(rng, np.full(people.size, season.first, dtype=np.int64))
    first = np.full(people.size, season.last + 1, dtype=np.int64)
    np.minimum.at(first, files.person, files.since)
    of_child = files.since[people.is_child[files.person]]
    child = files.person[people.is_child[files.person]]
    for parents in (people.head[child], people.mate[child]):
        np.minimum.at(first, parents[parents >= 0], of_child[parents >= 0])
    return np.where(first > season.last, alone, first)


def _accounts(
    rng: Rng, world: World, person: Ints, unions: pl.Series, first: Ints, *, head: str, share: float
) -> Accounts:
    """Accounts that begin on the first touch (half of them) or some time after it."""
    season, size = world.season, len(person)
    later = season.online_days(rng, np.maximum(first[person], season.first))
    start = np.where(chance(rng, size, 0.5), first[person], later)
    return Accounts(
        person=person,
        ids=tokens(rng, size, head, 32 if head.startswith("wm") else 28),
        unions=only(unions.gather(person), chance(rng, size, share)),
        since=start * DAY + phone_seconds(rng, size),
        brand=np.zeros(size, dtype=np.int64),
    )
