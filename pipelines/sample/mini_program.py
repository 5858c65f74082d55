"""Rows of mini_program/users and mini_program/bindings; behaviour events are in `online`."""

import numpy as np
import polars as pl

from pipelines.sample import names
from pipelines.sample.accounts import MINI_APP, Accounts
from pipelines.sample.batches import Rows
from pipelines.sample.bindings import RELATIONS, Pace, binding_rows, ties_of
from pipelines.sample.draw import (
    DAY,
    between,
    chance,
    choose,
    join,
    moment,
    only,
    option,
    own_ids,
    texts,
)
from pipelines.sample.files import Files
from pipelines.sample.people import People
from pipelines.sample.world import World

_BINDING = Pace(soonest=120, latest=30 * DAY, margin=1800, longest=150 * DAY)


def user_rows(world: World, chunk: int, people: People, users: Accounts) -> Rows:
    """Rows of mini_program/users: two in three let us see the phone, some the number they had before."""
    rng = world.rng(chunk, "mini_program/users")
    size, close = users.size, world.season.close
    asked = users.since + np.where(chance(rng, size, 0.6), 60, between(rng, DAY, 60 * DAY, size))
    allowed = chance(rng, size, 0.66) & (asked < close) & ~people.is_child[users.person]
    stale = people.changed_phone[users.person] & chance(rng, size, 0.4)
    phone = choose(stale, people.former_phone.gather(users.person), people.phone.gather(users.person))
    changed = np.where(allowed, asked, users.since)
    nickname = texts(names.NICKNAMES, between(rng, 0, len(names.NICKNAMES) - 1, size))
    own = people.names.gather(users.person)
    frame = pl.DataFrame(
        {
            "app_id": pl.repeat(MINI_APP, size, eager=True),
            "openid": users.ids,
            "unionid": users.unions,
            "nickname": only(choose(chance(rng, size, 0.15), own, nickname), chance(rng, size, 0.7)),
            "avatar_url": only(join("https://thirdwx.qlogo.cn/mmopen/", users.ids, "/132"), chance(rng, size, 0.7)),
            "phone": only(phone, allowed),
            "phone_authorized_at": moment(asked, allowed),
            "is_deleted": pl.Series(chance(rng, size, 0.004)),
            "registered_at": moment(users.since),
            "updated_at": moment(changed),
        }
    )
    before = {"phone": pl.lit(None), "phone_authorized_at": pl.lit(None), "updated_at": pl.col("registered_at")}
    return Rows(frame=frame, born=users.since, changed=changed, before=before)


def user_binding_rows(world: World, chunk: int, people: People, files: Files, users: Accounts) -> Rows:
    """Rows of mini_program/bindings (就诊人): the own file and, for parents, the children's files."""
    rng = world.rng(chunk, "mini_program/bindings")
    ties = ties_of(rng, people, files, users, own=0.5, child=0.65)
    bound = {
        "binding_id": own_ids("MB", chunk, len(ties.account)),
        "app_id": pl.repeat(MINI_APP, len(ties.account), eager=True),
        "openid": users.ids.gather(ties.account),
        "patient_id": files.ids.gather(ties.file),
        "relation": option(RELATIONS, ties.relation),
    }
    return binding_rows(rng, world.season.close, users.since[ties.account], _BINDING, bound)
