"""What the files of templates must look like: every fault is told, and the names fit what they become."""

from typing import Any

import pytest
import yaml

from segment_engine.templates import all_templates
from segment_engine.templates.reading import TemplateError, read_library

TEXTS = {"name_zh": "男性", "name_en": "Men", "description_zh": "男性客户。", "description_en": "Male customers."}
FILTER = {"combinator": "and", "rules": [{"kind": "everyone"}]}
SEGMENT = {"key": "men", **TEXTS, "filter": FILTER}
TAG = {**SEGMENT, "color": "#00FF00"}
GROUP = {"key": "genders", **TEXTS, "tags": [TAG]}


def faults(groups: list[Any], segments: list[Any]) -> list[str]:
    with pytest.raises(TemplateError) as told:
        read_library([yaml.safe_dump(group) for group in groups], yaml.safe_dump(segments))
    return list(told.value.faults)


def test_groups_and_segments_are_read_as_they_stand() -> None:
    library = read_library([yaml.safe_dump(GROUP)], yaml.safe_dump([SEGMENT]))

    (group,), (segment,) = library.tag_groups, library.segments
    assert (group.key, group.name_zh, group.tags[0].color) == ("genders", "男性", "#00FF00")
    assert (segment.filter, segment.color) == (FILTER, None)
    assert list(library.templates()) == [*group.tags, segment]


def test_every_fault_is_told() -> None:
    long_name = {**TAG, "key": "long", "name_zh": "长" * 51}
    groups = [{**GROUP, "name_en": "x" * 21, "tags": [long_name, {**TAG, "color": "red"}]}]

    assert faults(groups, [{**SEGMENT, "key": "Men's"}]) == [
        "genders: name_en is a text of at most 20 characters",
        "long: name_zh is a text of at most 50 characters",
        "men: color is #RRGGBB, not red",
        "Men's: a key is up to 50 small letters, digits and underscores",
    ]


@pytest.mark.parametrize(
    "segment",
    [{**SEGMENT, "colour": "#00FF00"}, {name: text for name, text in SEGMENT.items() if name != "filter"}],
    ids=["one too many", "one too few"],
)
def test_members_are_those_of_a_template_and_no_others(segment: Any) -> None:
    assert [fault.partition(":")[0] for fault in faults([], [segment])] == ["men"]


def test_a_key_is_there_once() -> None:
    assert faults([GROUP, GROUP], [SEGMENT, SEGMENT]) == [
        "genders: there are several of this key",
        "men: there are several of this key",
        "men: there are several of this key",
    ]


def test_the_templates_of_the_product_have_keys_of_their_own() -> None:
    keys = [one.key for one in all_templates().templates()]

    assert len(keys) == len(set(keys)) > 30
