"""Templates as one caller is told them, and groups of tags made from them.

What they say stands in `segment_engine.templates`.
"""

from copy import deepcopy
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection

from api.audiences.acting import Acting, Asked
from api.audiences.creation import Wanted
from api.audiences.groups import MadeGroup, make_group
from api.audiences.template_schemas import (
    FromTemplate,
    GroupTemplate,
    GroupTemplates,
    SegmentTemplates,
    TagTemplate,
    TemplateShown,
)
from api.errors import InvalidError
from api.storage.audience_rules import Named, named_audiences
from segment_engine.problems import Problem
from segment_engine.templates import Template, all_templates

NO_TEMPLATE: Final = Problem("template_unknown", "/template", "模板不存在", "There is no such template.")


def tag_templates(connection: Connection, asked: Asked) -> GroupTemplates:
    """Groups of smart tags to start from, in the order of the product's help."""
    known = named_audiences(connection)
    groups = [
        GroupTemplate(
            **{name: value for name, value in asdict(group).items() if name != "tags"},
            tags=[TagTemplate.model_validate(_shown(tag, asked, known)) for tag in group.tags],
        )
        for group in all_templates().tag_groups
    ]
    return GroupTemplates(groups=groups)


def segment_templates(connection: Connection, asked: Asked) -> SegmentTemplates:
    """Smart segments to start from."""
    known = named_audiences(connection)
    shown = [TemplateShown.model_validate(_shown(one, asked, known)) for one in all_templates().segments]
    return SegmentTemplates(segments=shown)


def make_from_template(acting: Acting, body: FromTemplate) -> MadeGroup:
    """A group with all tags of a template; raises InvalidError, ConflictError."""
    group = next((one for one in all_templates().tag_groups if one.key == body.template), None)
    if group is None:
        raise InvalidError(NO_TEMPLATE)
    note = f"来自模板「{group.name_zh}」 / From the template “{group.name_en}”"
    wanted = [
        Wanted(
            name=tag.name_zh,
            description=tag.description_zh,
            color=tag.color,
            is_enabled=body.is_enabled,
            filter=deepcopy(tag.filter),
            note=note,
            path=f"/template/tags/{index}",
        )
        for index, tag in enumerate(group.tags)
    ]
    return make_group(acting, body.name or group.name_zh, wanted, is_smart=True)


def _shown(template: Template, asked: Asked, known: dict[int, Named]) -> dict[str, Any]:
    return {**asdict(template), "sentence": asked.filters.told(template.filter, known).sentence}
