"""Filters asked without some clinics: as if their rows, and who is at no other clinic, were not there at all."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipelines.settings import PipelineSettings
from segment_engine.cases.compiled import compiled_alone, compiled_together
from segment_engine.cases.run import interpreted, read_filter
from segment_engine.cases.world import World
from segment_engine.checked import CheckedGroup
from segment_engine.clinics import without_clinics
from segment_engine.compile import compile_many
from segment_engine.lint import lint
from segment_engine.normalize import normalize
from segment_engine.predicates import HasRows
from segment_engine.problems import pointer
from segment_engine.runtime.audiences import LeafMemory
from segment_engine.runtime.explain import NotACustomerThenError, OfExcludedClinicsError, explain
from segment_engine.runtime.explanation import ExplainedNode
from segment_engine.runtime.preview import below, preview
from tests.segment_engine.asking_night import FILTERS, Json, Night, all_of, any_of, did, did_not, open_night, row
from tests.segment_engine.prove import asked_of
from tests.segment_engine.random_worlds import PRESENTS, poisoned_world

EVERYONE: Json = all_of({"kind": "everyone"})
AS_OF = PRESENTS[0]
SOME = frozenset({"C1", "c1"})
WORLD = poisoned_world(0)


def checked(document: Json) -> CheckedGroup:
    return read_filter(document, WORLD)[1]


def bereft(world: World) -> World:
    """The world from which what belongs to its excluded clinics was deleted."""
    gone = world.excluded_clinics
    left = {
        key: values
        for key, values in world.customers.items()
        if not values.get("clinic_ids") or set(values["clinic_ids"]) - gone  # type: ignore[arg-type]
    }
    rows = {
        name: tuple(one for one in told if one.values.get("clinic_id") not in gone and one.customer in left)
        for name, told in world.rows.items()
    }
    tags, segments = (
        {one: members & left.keys() for one, members in told.items()} for told in (world.tags, world.segments)
    )
    return replace(world, customers=left, rows=rows, tags=tags, segments=segments, excluded_clinics=frozenset())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_asking_without_clinics_is_asking_where_nothing_of_them_is(seed: int) -> None:
    world = poisoned_world(seed)
    rest = bereft(world)
    cases = asked_of(world, 80, seed)

    expected = interpreted(rest, cases)

    assert len(rest.customers) < len(world.customers)
    assert sum(map(len, rest.rows.values())) < sum(map(len, world.rows.values()))
    assert compiled_alone(world, cases) == expected
    assert compiled_together(world, cases) == expected
    assert interpreted(world, cases) == expected
    assert any(one != other for one, other in zip(interpreted(all_clinics(world), cases), expected, strict=True))


def all_clinics(world: World) -> World:
    return replace(world, excluded_clinics=frozenset())


def test_a_world_without_excluded_clinics_is_asked_as_it_was() -> None:
    tree = checked(all_of(did("purchase")))

    assert without_clinics(tree, frozenset()) is tree


def test_leaving_clinics_out_twice_is_leaving_them_out_once() -> None:
    for case in asked_of(WORLD, 60, 4):
        once = without_clinics(case.checked, SOME)

        assert normalize(without_clinics(once, SOME)) == normalize(once)


def test_every_node_keeps_its_place() -> None:
    for case in asked_of(WORLD, 60, 8):
        meant = without_clinics(case.checked, SOME)

        assert [node.place for node in below(meant)] == [node.place for node in below(case.checked)]


def test_a_source_that_knows_no_clinic_is_read_as_it_was() -> None:
    of_events = checked(any_of(did("Event"), did_not("card", row("item", "is_set"))))

    assert without_clinics(of_events, SOME) == of_events


def test_filters_share_rows_as_they_did() -> None:
    trees = [
        checked(all_of(did("purchase", row("channel", "eq", "A")))),
        checked(all_of(did_not("purchase", row("channel", "eq", "A")), did("Event"))),
    ]

    shared = compile_many(dict(enumerate(without_clinics(tree, SOME) for tree in trees)), AS_OF)

    assert [scan.uses for scan in shared.scans] == [2, 1]
    assert all(isinstance(thing, HasRows) for scan in shared.scans for thing in scan.things)


CLINICS_OF_ALL = "select clinic_id from marts.customer_clinic group by all order by count(*) desc, clinic_id"


@pytest.fixture(scope="module")
def clinics(night: PipelineSettings) -> list[str]:
    """Of the night, the one with the most customers first."""
    with open_night(night) as asked:
        return [one for (one,) in asked.connection.execute(CLINICS_OF_ALL).fetchall()]


@pytest.fixture(scope="module")
def rest(night: PipelineSettings, clinics: list[str]) -> Iterator[Night]:
    """The night without its largest clinic."""
    with open_night(night, without=clinics[:1]) as asked:
        yield asked


@pytest.fixture(scope="module")
def whole(night: PipelineSettings) -> Iterator[Night]:
    with open_night(night) as asked:
        yield asked


def test_who_is_left_has_another_clinic_or_none(rest: Night, whole: Night, clinics: list[str]) -> None:
    query = """
        select customer_key from marts.dim_customer
        where len(clinic_ids) = 0 or exists (
            select 1 from marts.customer_clinic as own
            where own.customer_key = dim_customer.customer_key and own.clinic_id <> $clinic
        )
    """
    left = {key for (key,) in rest.connection.execute(query, {"clinic": clinics[0]}).fetchall()}

    assert set(rest.opened.version.everyone.keys().tolist()) == left == rest.selected(rest.checked(EVERYONE))
    assert 0 < len(left) < len(whole.opened.version.everyone)
    assert rest.opened.left_out == whole.opened.version.everyone - rest.opened.version.everyone
    assert whole.opened.left_out is None


def test_without_every_clinic_those_are_left_who_have_none(night: PipelineSettings, clinics: list[str]) -> None:
    for with_layout in (True, False):
        with open_night(night, without=clinics, with_layout=with_layout) as asked:
            query = "select count(*) from marts.dim_customer where len(clinic_ids) = 0"
            ((count,),) = asked.connection.execute(query).fetchall()

            assert 0 < len(asked.opened.version.everyone) == count


@pytest.mark.parametrize("name", FILTERS)
def test_a_preview_counts_as_the_filters_own_sql_does(
    rest: Night, night: PipelineSettings, clinics: list[str], name: str
) -> None:
    tree = rest.checked(FILTERS[name])

    found = preview(tree, rest.opened, rest.connection, audiences=rest.nobody)

    members = rest.selected(tree)
    assert found.count == len(members)
    assert set(found.sample) <= members
    with open_night(night, without=clinics[:1], with_layout=False) as plain:
        again = preview(plain.checked(FILTERS[name]), plain.opened, plain.connection, audiences=plain.nobody)
    assert again.answer.members == found.answer.members


def test_people_are_told_the_filter_that_they_wrote(rest: Night, whole: Night) -> None:
    tree = rest.checked(all_of(did("visit"), did_not("bill")))

    told = [preview(tree, one.opened, one.connection, audiences=one.nobody) for one in (rest, whole)]

    assert [branch.sentence for branch in told[0].branches] == [branch.sentence for branch in told[1].branches]
    assert told[0].count < told[1].count
    assert lint(tree, rest.opened.as_of) == lint(tree, whole.opened.as_of)


def test_leaves_that_were_remembered_serve_whatever_clinics_are_left_out(rest: Night, whole: Night) -> None:
    memory = LeafMemory()
    tree = rest.checked(FILTERS["counts"])

    first, second, third = (
        preview(tree, one.opened, one.connection, audiences=one.nobody, memory=memory).answer.members
        for one in (rest, whole, rest)
    )

    assert len(second[()]) == len(whole.selected(tree))
    assert first == third


def nodes(root: ExplainedNode) -> Iterator[ExplainedNode]:
    yield root
    for part in root.parts:
        yield from nodes(part)


@pytest.mark.parametrize("name", ["rows", "no rows", "counts", "sums", "sequence", "negated group", "several"])
def test_an_explanation_agrees_with_the_preview_at_every_node(rest: Night, name: str) -> None:
    tree = rest.checked(FILTERS[name])
    members = preview(tree, rest.opened, rest.connection, audiences=rest.nobody).answer.members
    some = rest.opened.version.everyone.keys().tolist()[::97][:6] + members[()].keys().tolist()[:3]

    for key in some:
        root = explain(tree, rest.opened, rest.connection, key, audiences=rest.nobody).root

        truths = {pointer(place): key in bitmap for place, bitmap in members.items()}  # type: ignore[arg-type]
        assert {node.path: node.holds for node in nodes(root)} == truths


def test_rows_of_the_clinic_are_no_evidence(rest: Night, whole: Night, clinics: list[str]) -> None:
    query = """
        select customer_key from marts.fct_visit
        group by all having count(*) filter (clinic_id = $clinic) between 1 and 2 and count(distinct clinic_id) = 2
        order by 1
    """
    both = {key for (key,) in rest.connection.execute(query, {"clinic": clinics[0]}).fetchall()}
    key = min(both & set(rest.opened.version.everyone.keys().tolist()))
    tree = rest.checked(all_of(did("visit")))

    (told,), (before,) = (
        explain(tree, one.opened, one.connection, key, audiences=one.nobody).root.parts for one in (rest, whole)
    )

    shown = {field.value for one in told.evidence for field in one.fields if field.name == "clinic_id"}
    assert shown
    assert clinics[0] not in shown
    assert (told.rows or 0) < (before.rows or 0)
    assert told.sentence == before.sentence


def test_who_was_left_out_is_told_apart_from_who_is_no_customer(rest: Night) -> None:
    assert rest.opened.left_out is not None
    left_out = int(rest.opened.left_out.keys()[0])
    tree = rest.checked(EVERYONE)

    with pytest.raises(OfExcludedClinicsError) as refused:
        explain(tree, rest.opened, rest.connection, left_out, audiences=rest.nobody)
    with pytest.raises(NotACustomerThenError):
        explain(tree, rest.opened, rest.connection, 1_000_000, audiences=rest.nobody)

    assert refused.value.problem.code == "of_excluded_clinics"
