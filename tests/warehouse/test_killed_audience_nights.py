"""A night that dies anywhere while it calculates and serves tags and segments is finished by the next, once."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from pipelines import steps
from pipelines.warehouse import audiences as night_of_audiences
from tests.audiences import (
    WRONG,
    add_audience,
    all_of,
    define,
    in_segment,
    share,
)
from tests.warehouse.audience_nights import Nights

WOMEN = all_of({"kind": "attribute", "field": "gender", "operator": "eq", "value": "女"})
MEN = all_of({"kind": "attribute", "field": "gender", "operator": "eq", "value": "男"})
VISITED = all_of({"kind": "activity", "source": "visit", "occurrence": "did"})
OF_WOMEN = "select customer_key from marts.dim_customer where gender = '女'"
OF_MEN = "select customer_key from marts.dim_customer where gender = '男'"


class Killed(BaseException):
    """What no code of ours catches."""


Patch = Callable[[pytest.MonkeyPatch], None]


def before(name: str) -> Patch:
    """Die when this is called."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    return lambda patch: patch.setattr(name, die)


def behind(name: str) -> Patch:
    """Die when this has been done."""

    def applied(patch: pytest.MonkeyPatch) -> None:
        module, _, attribute = name.rpartition(".")
        real = getattr(night_of_audiences if module.endswith("audiences") else steps, attribute)

        def do_and_die(*given: Any, **named: Any) -> None:
            real(*given, **named)
            raise Killed

        patch.setattr(name, do_and_die)

    return applied


def behind_the_commit(patch: pytest.MonkeyPatch) -> None:
    real = night_of_audiences.Database.write

    def write_and_die(self: Any, work: Any) -> None:
        real(self, work)
        raise Killed

    patch.setattr(night_of_audiences.Database, "write", write_and_die)


POINTS = {
    "before calculating": before("pipelines.warehouse.audiences.calculate"),
    "behind the file of members": before("pipelines.warehouse.audiences.write_tables"),
    "behind the tables": before("pipelines.warehouse.audiences.sync"),
    "before publishing": before("pipelines.steps.publish_marts"),
    "behind publishing": behind("pipelines.steps.publish_marts"),
    "before committing": before("pipelines.warehouse.audiences.commit"),
    "behind committing": behind_the_commit,
}


@pytest.mark.parametrize(
    ("point", "came_between"),
    [*((point, False) for point in POINTS), ("behind publishing", True), ("before committing", True)],
)
def test_a_night_that_is_killed_is_finished_by_the_next(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, point: str, came_between: bool
) -> None:
    add_audience(nights.store, 1, share(0, 30))
    add_audience(nights.store, 2, all_of(in_segment(1)))
    add_audience(nights.store, 3, WRONG)
    nights.night()
    before_it = nights.pointed(1)
    define(nights.store, 1, share(20, 60))

    with monkeypatch.context() as patch, pytest.raises(Killed):
        POINTS[point](patch)
        nights.night()
    # Whatever happened, what is served is whole: all of before, or all of tonight.
    assert nights.pointed(1) == nights.pointed(2)
    assert (nights.pointed(1) == before_it) == (point != "behind committing")
    if came_between:
        nights.on_demand(2)

    nights.night()

    assert nights.pointed(1) == nights.pointed(2) != before_it
    assert len({one.file for one in nights.versions() if one.audience_id == 1}) == nights.served()[1].number
    nights.night()
    assert nights.wrongs() == []


def test_what_a_killed_night_published_is_served_before_the_next_one_begins_anew(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_audience(nights.store, 1, WOMEN)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        before("pipelines.warehouse.audiences.commit")(patch)
        nights.night()
    # News, so the next night is another one.
    define(nights.store, 1, MEN)

    nights.calculate()

    assert nights.pointed(1) == nights.keys(OF_WOMEN)


def test_serving_twice_serves_once(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    add_audience(nights.store, 1, WOMEN)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        behind_the_commit(patch)
        nights.night()
    nights.on_demand(1)

    assert steps.serve_audiences(nights.settings) == {"audiences served": 1}
    assert steps.serve_audiences(nights.settings) == {}
    assert [one.trigger for one in nights.versions()] == ["nightly", "manual"]


def test_what_waits_is_nothing_where_its_file_was_swept(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    add_audience(nights.store, 1, WOMEN)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        before("pipelines.warehouse.audiences.commit")(patch)
        nights.night()
    shutil.rmtree(nights.settings.folders.audiences)

    assert steps.serve_audiences(nights.settings) == {"audiences lost": 1}
    assert nights.served() == {}
    nights.night()
    assert nights.pointed(1) == nights.members(1) == nights.keys(OF_WOMEN)
