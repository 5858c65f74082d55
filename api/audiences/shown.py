"""Rows of tags and segments as one caller is told them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from api.access.actors import Actor
from api.access.permissions import Permission
from api.audiences import repository
from api.audiences.filters import Filters
from api.audiences.repository import Row
from api.audiences.rule_schemas import RuleShown
from api.audiences.schemas import Audience, AudienceDetail
from api.jobs.schemas import ProblemShown
from api.storage.audience_rules import Named, named_audiences
from api.storage.audiences import StoredVersion, current_versions

Shape = TypeVar("Shape", bound=Audience)
Detail = TypeVar("Detail", bound=AudienceDetail)

_SAME = (
    "id", "name", "description", "is_smart", "is_enabled", "is_preset", "disabled_because", "definition", "failed_at",
    "version", "created_at", "created_by", "updated_at", "updated_by",
)  # fmt: skip
_OF_TAGS = ("group_id", "group_name", "color")


@dataclass(frozen=True, slots=True)
class Telling:
    """What is needed to tell of some rows: who asks, names of others, when each was calculated."""

    filters: Filters
    sees_counts: bool
    known: Mapping[int, Named]
    calculated: Mapping[int, StoredVersion]
    static_counts: Mapping[int, int]

    @classmethod
    def of(cls, connection: Connection, actor: Actor, filters: Filters, ids: Collection[int]) -> "Telling":
        """For these rows."""
        # A count is of customers whom the caller may not see, unless they see everybody.
        sees_counts = actor.reaches_everybody(Permission.CUSTOMER_VIEW)
        return cls(
            filters,
            sees_counts,
            named_audiences(connection),
            current_versions(connection, ids),
            repository.static_counts(connection, ids) if sees_counts else {},
        )

    def row(self, row: Row, shape: type[Shape]) -> Shape:
        """One row of a list."""
        rule = None if row["filter"] is None else self.filters.told(row["filter"], self.known).sentence
        return shape.model_validate({**self._plain(row), "rule": rule})

    def detail(self, row: Row, shape: type[Detail], **further: Any) -> Detail:
        """One with its rule and draft; further: what came of the request."""
        rule = self._told(row["filter"])
        draft = self._told(row["draft"])
        told = [one for one in (rule, draft) if one is not None]
        return shape.model_validate(
            {
                **self._plain(row),
                "rule": rule and rule.sentence,
                "filter": rule and rule.filter,
                "draft": draft and draft.filter,
                "is_hidden": any(one.is_hidden for one in told),
                **further,
            }
        )

    def _told(self, document: Any) -> RuleShown | None:
        return None if document is None else self.filters.told(document, self.known)

    def _plain(self, row: Row) -> dict[str, Any]:
        last = self.calculated.get(row["id"])
        return {
            **{name: row[name] for name in (*_SAME, *(_OF_TAGS if row["kind"] == "tag" else ()))},
            "has_draft": row["draft"] is not None,
            "member_count": self._count(row, last),
            "computed_at": last and last.computed_at,
            "as_of": last and last.as_of,
            "problems": shown_problems(row["problems"]),
        }

    def _count(self, row: Row, last: StoredVersion | None) -> int | None:
        if not self.sees_counts:
            return None
        if not row["is_smart"]:
            return self.static_counts.get(row["id"], 0)
        return None if last is None else last.member_count


def shown_problems(stored: Sequence[Any] | None) -> list[ProblemShown]:
    """Problems as a row keeps them."""
    return [ProblemShown.model_validate(problem) for problem in stored or ()]
