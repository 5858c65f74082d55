"""Shapes of templates (标签组模板, 分群模板)."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.audiences.rule_schemas import SentenceShown
from api.audiences.schemas import ShortName
from api.shapes import Input, Text


class TemplateShown(BaseModel):
    """A rule to start from, with what it means and why one wants it; `sentence` is null where it cannot be used now."""

    key: str
    name_zh: str
    name_en: str
    description_zh: str
    description_en: str
    filter: dict[str, Any]
    sentence: SentenceShown | None


class TagTemplate(TemplateShown):
    """A smart tag to start from."""

    color: str


class GroupTemplate(BaseModel):
    """A group of smart tags to start from."""

    key: str
    name_zh: str
    name_en: str
    description_zh: str
    description_en: str
    tags: list[TagTemplate]


class GroupTemplates(BaseModel):
    """All groups of smart tags to start from."""

    groups: list[GroupTemplate]


class SegmentTemplates(BaseModel):
    """All smart segments to start from."""

    segments: list[TemplateShown]


class FromTemplate(Input):
    """A group with all tags of a template, under its own Chinese name unless another is given."""

    template: Annotated[str, Text(1, 50), Field(description="`key` of a group of /v1/tag-templates / 模板")]
    name: ShortName | None = None
    is_enabled: Annotated[bool, Field(description="Whether its tags are enabled at once / 状态")] = True
