"""What people do on their phones: events of the official account and behaviour in the mini program.

The largest table of the sample: about eleven events per customer, most of them in the evening.
"""

# ruff: noqa: E501 - the table of behaviour reads better in rows

import numpy as np
import polars as pl

from pipelines.sample.accounts import FAN_APPS, MINI_APP, Accounts
from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import CAMPAIGNS, GOODS, PROJECTS
from pipelines.sample.draw import (
    DAY,
    Dice,
    Ints,
    Rng,
    between,
    chance,
    moment,
    only,
    option,
    own_ids,
    repeat_each,
    texts,
)
from pipelines.sample.official_account import left_at
from pipelines.sample.people import People
from pipelines.sample.season import phone_seconds
from pipelines.sample.world import World

FAN_EVENTS = ("关注", "取消关注", "扫码", "点击菜单", "发送消息", "点击模板消息", "阅读图文")
_FAN_EVENT = Dice((0.0, 0.0, 0.08, 0.28, 0.1, 0.3, 0.24))
_FAN_KEYS = ("", "", "clinic_desk", "menu_book", "", "tpl_visit_reminder", "article_care")
# event, page, weight
_BEHAVIOUR = (
    ("打开小程序", "pages/index/index", 20.0), ("浏览首页", "pages/index/index", 18.0), ("浏览项目", "pages/item/detail", 12.0),
    ("浏览医生", "pages/doctor/detail", 7.0), ("浏览商品", "pages/mall/goods", 8.0), ("加入购物车", "pages/mall/cart", 1.6),
    ("提交订单", "pages/mall/order", 0.9), ("支付订单", "pages/mall/pay", 0.7), ("浏览营销活动", "pages/campaign/index", 9.0),
    ("参与营销活动", "pages/campaign/join", 2.4), ("分享", "pages/share/index", 1.5), ("预约", "pages/book/index", 2.4),
    ("查看病历", "pages/record/list", 2.6), ("查看检查报告", "pages/report/detail", 2.2), ("查看影像", "pages/image/list", 1.8),
    ("领取优惠券", "pages/coupon/claim", 1.8), ("打卡", "pages/checkin/index", 4.0), ("观看直播", "pages/live/room", 1.2),
    ("在线咨询", "pages/chat/index", 1.9),
)  # fmt: skip
MINI_EVENTS = tuple(event for event, _, _ in _BEHAVIOUR)
_PAGES = tuple(page for _, page, _ in _BEHAVIOUR)
_MINI_EVENT = Dice([weight for _, _, weight in _BEHAVIOUR])
CHANNELS = ("扫码", "分享卡片", "公众号菜单", "企微", "搜索", "短信", "广告", "其他")
_CHANNEL = Dice((0.22, 0.2, 0.18, 0.16, 0.1, 0.04, 0.06, 0.04))
_MEAN_EVENTS = 26.0  # per mini-program user in 400 days
_MEAN_FAN_EVENTS = 3.6
_LATE = 0.01  # share of events that reach us a day or two late


def _at(*events: str) -> np.ndarray:
    return np.isin(np.arange(len(MINI_EVENTS)), [MINI_EVENTS.index(e) for e in events])


_OF_OBJECT = _at("浏览项目", "浏览医生", "浏览商品", "加入购物车", "提交订单", "支付订单")
_OF_CAMPAIGN = _at("浏览营销活动", "参与营销活动", "观看直播")
_OF_AMOUNT = _at("提交订单", "支付订单")
_OF_STAY = ~_at("加入购物车", "提交订单", "支付订单", "领取优惠券", "打卡", "分享")
_OBJECTS = PROJECTS + GOODS
_OBJECT_LOW = np.where(_at("浏览商品", "加入购物车", "提交订单", "支付订单"), len(PROJECTS), 0)


def _known(rng: Rng, occurred: Ints, close: int) -> Ints:
    """When each event reaches us: at once, or one or two days late."""
    late = occurred + between(rng, 1, 2, len(occurred)) * DAY
    return np.where(chance(rng, len(occurred), _LATE) & (late < close), late, occurred)


def mini_event_rows(world: World, chunk: int, people: People, users: Accounts) -> Rows:
    """Rows of mini_program/events."""
    rng = world.rng(chunk, "mini_program/events")
    season = world.season
    share = (season.last - np.maximum(users.since // DAY, season.first) + 1) / 400
    # Who registered late had less time, but newcomers are busy in their first days.
    mean = _MEAN_EVENTS * people.vigour[users.person] * (0.45 + 0.85 * share) * world.scale
    user, _ = repeat_each(rng.poisson(mean).astype(np.int64))
    size = len(user)
    occurred = season.online_days(rng, np.maximum(users.since[user] // DAY, season.first)) * DAY + phone_seconds(
        rng, size
    )
    early = occurred < users.since[user]
    occurred = np.where(early, np.minimum(users.since[user] + between(rng, 0, 600, size), season.close - 1), occurred)
    event = _MINI_EVENT.throw(rng, size)
    low = _OBJECT_LOW[event]
    objects = texts(_OBJECTS, low + (rng.random(size) * np.where(low > 0, len(GOODS), len(PROJECTS))).astype(np.int64))
    stay = np.minimum(rng.exponential(38.0, size), 3600).astype(np.int64)
    frame = pl.DataFrame(
        {
            "event_id": own_ids("ME", chunk, size),
            "app_id": pl.repeat(MINI_APP, size, eager=True),
            "openid": users.ids.gather(user),
            "event": option(MINI_EVENTS, event),
            "page": texts(_PAGES, event),
            "object_name": only(objects, _OF_OBJECT[event]),
            "campaign_name": only(texts(CAMPAIGNS, between(rng, 0, len(CAMPAIGNS) - 1, size)), _OF_CAMPAIGN[event]),
            "channel": option(CHANNELS, _CHANNEL.throw(rng, size)),
            "amount": only(pl.Series(between(rng, 25, 899, size) * 100), _OF_AMOUNT[event]),
            "duration_seconds": only(pl.Series(stay), _OF_STAY[event]),
            "occurred_at": moment(occurred),
        }
    )
    known = _known(rng, occurred, season.close)
    return Rows(frame=frame, born=known, changed=known)


def follow_event_rows(world: World, chunk: int, people: People, fans: Accounts) -> Rows:
    """Rows of official_account/follow_events: 关注, what they did, and 取消关注 as the last."""
    rng = world.rng(chunk, "official_account/follow_events")
    season = world.season
    gone, gone_at = left_at(world, chunk, fans)
    seen = fans.since >= season.first * DAY
    end = np.where(gone, gone_at, season.close - 1)
    counts = rng.poisson(_MEAN_FAN_EVENTS * people.vigour[fans.person] * world.scale).astype(np.int64)
    counts = np.where(end > season.first * DAY, counts, 0)
    deeds, _ = repeat_each(counts)
    begin = np.maximum(fans.since, season.first * DAY)[deeds]
    day_at = begin // DAY + (rng.random(len(deeds)) * (end[deeds] // DAY - begin // DAY + 1)).astype(np.int64)
    deed_at = np.clip(day_at * DAY + phone_seconds(rng, len(deeds)), begin, end[deeds])
    joined = np.flatnonzero(seen)
    left = np.flatnonzero(gone & (gone_at >= season.first * DAY))
    fan = np.concatenate([joined, deeds, left])
    size = len(fan)
    event = np.concatenate(
        [np.zeros(len(joined), np.int64), _FAN_EVENT.throw(rng, len(deeds)), np.ones(len(left), np.int64)]
    )
    occurred = np.concatenate([fans.since[joined], deed_at, gone_at[left]])
    keys = texts(_FAN_KEYS, event)
    frame = pl.DataFrame(
        {
            "event_id": own_ids("FE", chunk, size),
            "app_id": texts(FAN_APPS, fans.brand[fan]),
            "openid": fans.ids.gather(fan),
            "event": option(FAN_EVENTS, event),
            "event_key": only(keys, np.array([key != "" for key in _FAN_KEYS])[event]),
            "occurred_at": moment(occurred),
        }
    )
    known = _known(rng, occurred, season.close)
    return Rows(frame=frame, born=known, changed=known)
