"""Rows of official_account/fans and official_account/fan_bindings; events are in `online`."""

import numpy as np
import polars as pl

from pipelines.sample.accounts import FAN_APPS, Accounts
from pipelines.sample.batches import Rows
from pipelines.sample.bindings import RELATIONS, Pace, binding_rows, ties_of
from pipelines.sample.draw import (
    DAY,
    Dice,
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
    texts,
)
from pipelines.sample.files import Files
from pipelines.sample.people import People
from pipelines.sample.world import World

_SCENES = ("ADD_SCENE_QR_CODE", "ADD_SCENE_SEARCH", "ADD_SCENE_PROFILE_CARD", "ADD_SCENE_PAID", "ADD_SCENE_OTHERS")
_SCENE = Dice((0.62, 0.16, 0.1, 0.06, 0.06))
_BINDING = Pace(soonest=60, latest=20 * DAY, margin=3600, longest=200 * DAY)


def left_at(world: World, chunk: int, fans: Accounts) -> tuple[np.ndarray, np.ndarray]:
    """Which fans have left (one in six), and the second at which each of those did."""
    rng = world.rng(chunk, "official_account/left")
    gone = fans.since + 3600 + rng.exponential(90 * DAY, fans.size).astype(np.int64)
    return chance(rng, fans.size, 0.2) & (gone < world.season.close), gone


def fan_rows(world: World, chunk: int, fans: Accounts) -> Rows:
    """Rows of official_account/fans."""
    rng = world.rng(chunk, "official_account/fans")
    gone, gone_at = left_at(world, chunk, fans)
    changed = np.where(gone, gone_at, fans.since)
    scene = _SCENE.throw(rng, fans.size)
    desk = join("clinic_", 1000 + world.chain.draw_clinics(rng, fans.size))
    frame = pl.DataFrame(
        {
            "app_id": texts(FAN_APPS, fans.brand),
            "openid": fans.ids,
            "unionid": fans.unions,
            "is_subscribed": pl.Series(~gone),
            "subscribe_scene": texts(_SCENES, scene),
            "qr_scene": only(desk, scene == 0),
            "remark": only(
                texts(("老客户", "活动引流", "儿牙家长"), between(rng, 0, 2, fans.size)), chance(rng, fans.size, 0.05)
            ),
            "subscribed_at": moment(fans.since),
            "is_deleted": never(fans.size),
            "updated_at": moment(changed),
        }
    )
    before = {"is_subscribed": pl.lit(True), "updated_at": pl.col("subscribed_at")}
    return Rows(frame=frame, born=fans.since, changed=changed, before=before)


def fan_binding_rows(world: World, chunk: int, people: People, files: Files, fans: Accounts) -> Rows:
    """Rows of official_account/fan_bindings: by phone alone, or to a patient file.

    The verified phone is the holder's own; who changed numbers may still be bound by the former one.
    """
    rng = world.rng(chunk, "official_account/fan_bindings")
    ties = ties_of(rng, people, files, fans, own=0.55, child=0.6)
    alone = np.setdiff1d(np.arange(fans.size), ties.account)
    alone = alone[chance(rng, len(alone), 0.2) & ~people.is_child[fans.person[alone]]]
    account = np.concatenate([ties.account, alone])
    size, known = len(account), np.arange(len(account)) < len(ties.account)
    file = np.concatenate([ties.file, np.zeros(len(alone), dtype=np.int64)])
    person = fans.person[account]
    stale = people.changed_phone[person] & chance(rng, size, 0.5)
    phone = choose(stale, people.former_phone.gather(person), people.phone.gather(person))
    bound = {
        "binding_id": own_ids("FB", chunk, size),
        "app_id": texts(FAN_APPS, fans.brand[account]),
        "openid": fans.ids.gather(account),
        "phone": phone,
        "patient_id": lookup(files.ids, file, known),
        "relation": option(RELATIONS, np.concatenate([ties.relation, np.zeros(len(alone), dtype=np.int64)])),
    }
    return binding_rows(rng, world.season.close, fans.since[account], _BINDING, bound)
