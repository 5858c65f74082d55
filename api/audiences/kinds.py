"""The two kinds of audiences as routes and services tell them apart: their words, permissions and shapes."""

from dataclasses import dataclass
from typing import Final

from api.access.permissions import Permission
from api.audiences.schemas import AudienceDetail, SegmentDetail, TagDetail
from segment_engine.problems import Problem
from segment_engine.tree import AudienceKind


@dataclass(frozen=True, slots=True)
class Sort:
    """Tags, or segments; manage: what it takes to change one."""

    kind: AudienceKind
    zh: str
    en: str
    manage: Permission
    detail: type[AudienceDetail]
    path: str

    @property
    def unknown(self) -> Problem:
        """That there is none of this id."""
        return Problem(f"{self.kind}_unknown", "/path/audience_id", f"{self.zh}不存在", f"There is no such {self.en}.")


TAG: Final = Sort(AudienceKind.TAG, "标签", "tag", Permission.TAG_MANAGE, TagDetail, "/v1/tags")
SEGMENT: Final = Sort(AudienceKind.SEGMENT, "分群", "segment", Permission.SEGMENT_MANAGE, SegmentDetail, "/v1/segments")
