"""Shapes of rules and their definitions (规则, 定义): as they come in, and as one caller is told them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.jobs.schemas import ProblemShown
from api.keyset import Page
from api.shapes import Input, QueryInt, Text

MAX_NUMBER = 2**31 - 1

Filter = Annotated[
    dict[str, Any],
    Field(
        description="Who is meant, in the filter language / 筛选条件",
        json_schema_extra={
            "examples": [
                {
                    "combinator": "and",
                    "rules": [{"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"}],
                }
            ]
        },
    ),
]
Note = Annotated[str, Text(0, 500, lines=True), Field(description="Why, for colleagues / 版本说明")]


class SentenceShown(BaseModel):
    """What a rule means, in words."""

    zh: str
    en: str


class RuleShown(BaseModel):
    """A filter as the caller may read it.

    Where it compares a field that the caller sees masked, `is_hidden` and nothing else is told. `problems` say why it
    cannot be used any more, `warnings` what is odd about one that can.
    """

    filter: dict[str, Any] | None
    sentence: SentenceShown | None
    is_hidden: bool
    problems: list[ProblemShown]
    warnings: list[ProblemShown]


class DefinitionShown(BaseModel):
    """One published version of a rule, without the rule itself."""

    number: int
    is_current: bool
    note: str
    created_at: datetime
    created_by: str
    created_by_name: str = Field(description="What they are called / 操作人")
    sentence: SentenceShown | None
    is_hidden: bool


class DefinitionDetail(DefinitionShown):
    """One published version of a rule."""

    rule: RuleShown


class DefinitionPage(BaseModel):
    """Newest first; `next_cursor` is null on the last page."""

    definitions: list[DefinitionShown]
    next_cursor: str | None


class DefinitionQuery(Page):
    """Which part of the versions."""


class DraftInput(Input):
    """A rule to be kept and not used yet."""

    filter: Filter


class Publication(Input):
    """Publish the draft, or the filter that is given, as the definition that counts."""

    filter: Filter | None = None
    note: Note = ""


class Restoration(Input):
    """Why an earlier definition is taken back."""

    note: Note = ""


class DiffQuery(Input):
    """What a version is compared with."""

    base: Annotated[
        Annotated[int, QueryInt(1, MAX_NUMBER)] | None,
        Field(description="The other version; the one before by default / 对比的版本"),
    ] = None


class ChangeShown(BaseModel):
    """One rule or group that is not in both, or not the same; paths are JSON Pointers into the two filters."""

    change: Literal["added", "removed", "changed", "combined"]
    before_path: str | None
    after_path: str | None
    before: SentenceShown | None
    after: SentenceShown | None


class Diff(BaseModel):
    """What is different between two versions; `is_same_meaning` where they select the same customers by their form."""

    base: int
    number: int
    is_same_meaning: bool
    before: SentenceShown
    after: SentenceShown
    changes: list[ChangeShown]
