"""`docs/templates.md` as it must be: every template with the sentences that the engine says of its filter.

Written anew with `python -m tests.segment_engine.templates.page DATA_DIR`, which takes the words of fields from the
catalogue that is published there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipelines.settings import PipelineSettings
from segment_engine.compile import check
from segment_engine.describe import describe
from segment_engine.templates import Template, TemplateGroup, all_templates
from segment_engine.validate import Asking
from tests.segment_engine.asking_night import Night, open_night

PAGE: Final = Path(__file__).parents[3] / "docs/templates.md"

_INTRODUCTION: Final = """\
# Templates of smart tags and smart segments (智能标签组模板、分群模板)

What a marketer (运营) can start from instead of an empty rule. A template is a filter (`docs/filter-language.md`)
with a name and the reason for it; whoever starts from one may change all of it. The files are in
`segment_engine/templates/`, one for each group of tags and one for all segments, and `all_templates()` reads them.
None of them reads personal data, so that who sees phones and names masked can use them all.

The sentences below are what the engine says of each filter. Tests hold every template against SQL that was written
for it by hand, and this page against the templates; after a change,
`PYTHONPATH=. python -m tests.segment_engine.templates.page data` writes it anew from the version published in `data`.

Words: 成交 (a deal) is a bill with money received, net of refunds; 没有下次预约 looks at appointments after the
business day; 近 N 天 ends with the business day and includes it."""


def page(asked: Night) -> str:
    """The whole text."""
    return "\n".join([_INTRODUCTION, *_lines(asked), ""])


def _lines(asked: Night) -> Iterator[str]:
    library = all_templates()
    yield from ("", "## Smart tags (智能标签组)")
    for group in library.tag_groups:
        yield from _group_lines(group, asked)
    yield from ("", "## Smart segments (智能分群)")
    for segment in library.segments:
        yield from _template_lines(segment, asked, level="###")


def _group_lines(group: TemplateGroup, asked: Night) -> Iterator[str]:
    yield from ("", f"### {group.name_zh} / {group.name_en}", group.description_zh, "", group.description_en)
    for tag in group.tags:
        yield from _template_lines(tag, asked, level="####")


def _template_lines(one: Template, asked: Night, *, level: str) -> Iterator[str]:
    told = describe(check(one.filter, asked.opened.catalog, Asking()), {}, None)
    yield from ("", f"{level} {one.name_zh} / {one.name_en}", f"`{one.key}`. {one.description_zh}", "")
    yield from (one.description_en, "", f"> {told.zh}", ">", f"> {told.en}")


if __name__ == "__main__":
    with open_night(PipelineSettings(data_dir=Path(sys.argv[1]))) as night:
        PAGE.write_text(page(night), encoding="utf-8")
