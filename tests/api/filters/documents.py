"""Filters that tests of the routes ask, and tags that stand in for a directory of them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from api.filters.audiences import KnownAudiences
from segment_engine.predicates import InAudience
from segment_engine.runtime.bitmaps import Bitmap, of_keys
from segment_engine.runtime.version import Opened
from segment_engine.tree import AudienceKind

Json = dict[str, Any]
FIRST_VISITS = "过去一周内有到店的初诊用户"


def all_of(*rules: Json) -> Json:
    return {"combinator": "and", "rules": list(rules)}


def any_of(*rules: Json) -> Json:
    return {"combinator": "or", "rules": list(rules)}


def is_(name: str, operator: str, *value: Any) -> Json:
    return {"kind": "attribute", "field": name, "operator": operator, **({"value": value[0]} if value else {})}


def tagged(*ids: int) -> Json:
    return {"kind": "tag", "operator": "in", "tag_ids": list(ids)}


def first_visits() -> Json:
    """The example of the product document: appointments of the last seven days, arrived, first visits."""
    arrived = {"field": "arrived_at", "operator": "within_past", "value": {"n": 7, "unit": "day"}}
    first = {"field": "visit_type", "operator": "eq", "value": "初诊"}
    once = {"metric": "count", "operator": "gte", "value": 1}
    return all_of(
        {"kind": "activity", "source": "appointment", "occurrence": "did", "where": all_of(arrived, first),
         "having": [once]}
    )  # fmt: skip


@dataclass
class Tags:
    """Tags and segments with fixed members; `asked` notes the moments that were asked about."""

    members_of: dict[tuple[AudienceKind, int], list[int]]
    names: dict[tuple[AudienceKind, int], str] = field(default_factory=dict)
    computed_at: dict[tuple[AudienceKind, int], datetime] = field(default_factory=dict)
    asked: list[datetime | None] = field(default_factory=list)

    def known(self, connection: Connection) -> KnownAudiences:
        of_kind = {kind: frozenset(one for of, one in self.members_of if of is kind) for kind in AudienceKind}
        return KnownAudiences(of_kind[AudienceKind.TAG], of_kind[AudienceKind.SEGMENT], self.names, self.computed_at)

    def members(self, one: InAudience, opened: Opened, moment: datetime | None) -> Bitmap:
        self.asked.append(moment)
        keys = np.array(self.members_of[one.kind, one.id], np.int64)
        # Also of customers whom this version does not know.
        return of_keys(keys, max(opened.version.keys, int(keys.max()) + 1))
