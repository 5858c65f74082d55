"""Rows of tags and segments as one caller is told them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from api.audiences.acting import Asked
from api.audiences.counts import member_counts
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
    known: Mapping[int, Named]
    calculated: Mapping[int, StoredVersion]
    counts: Mapping[int, int]

    @classmethod
    def of(cls, connection: Connection, asked: Asked, ids: Collection[int]) -> "Telling":
        """For these rows."""
        calculated = current_versions(connection, ids)
        counts = member_counts(connection, asked.actor, asked.evaluator, ids, calculated)
        return cls(asked.filters, named_audiences(connection), calculated, counts)

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
            "member_count": self.counts.get(row["id"]),
            "computed_at": last and last.computed_at,
            "as_of": last and last.as_of,
            "problems": shown_problems(row["problems"]),
        }


def shown_problems(stored: Sequence[Any] | None) -> list[ProblemShown]:
    """Problems as a row keeps them."""
    return [ProblemShown.model_validate(problem) for problem in stored or ()]
