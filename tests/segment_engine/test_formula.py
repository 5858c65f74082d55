"""Plain logic in one form: two formulas that say the same up to order and nesting are one value."""

import random
from itertools import product

import pytest

from segment_engine.formula import FALSE, TRUE, All, Always, Formula, No, Some, all_of, any_of, mapped, no, things_of

NAMES = "abcd"


def holds(formula: Formula, true: frozenset[str]) -> bool:
    match formula:
        case Always(value):
            return value
        case No(part):
            return not holds(part, true)
        case All(parts):
            return all(holds(part, true) for part in parts)
        case Some(parts):
            return any(holds(part, true) for part in parts)
    return formula in true


def worlds() -> list[frozenset[str]]:
    return [
        frozenset(name for name, there in zip(NAMES, truths, strict=True) if there)
        for truths in product([True, False], repeat=len(NAMES))
    ]


def drawn(random_: random.Random, depth: int) -> Formula:
    kind = random_.randrange(6 if depth else 2)
    if kind == 0:
        return Always(random_.random() < 0.5) if random_.random() < 0.2 else random_.choice(NAMES)
    if kind == 1:
        return random_.choice(NAMES)
    parts = [drawn(random_, depth - 1) for _ in range(random_.randrange(4))]
    together = all_of(parts) if kind < 4 else any_of(parts)
    return no(together) if random_.random() < 0.4 else together


def test_what_is_said_together_holds_where_its_parts_say_so() -> None:
    random_ = random.Random(1)
    for _ in range(2_000):
        parts = [drawn(random_, 3) for _ in range(3)]

        together, either, contrary = all_of(parts), any_of(parts), no(parts[0])

        for world in worlds():
            assert holds(together, world) == all(holds(part, world) for part in parts)
            assert holds(either, world) == any(holds(part, world) for part in parts)
            assert holds(contrary, world) == (not holds(parts[0], world))


def test_order_and_nesting_make_no_other_formula() -> None:
    random_ = random.Random(2)
    for _ in range(500):
        parts = [drawn(random_, 2) for _ in range(4)]
        shuffled = random_.sample(parts, len(parts))

        assert all_of(parts) == all_of([all_of(shuffled[:2]), all_of([*shuffled[2:], *shuffled[:1]])])
        assert any_of(parts) == any_of([any_of(shuffled[:2]), any_of([*shuffled[2:], *shuffled[:1]])])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (all_of([]), TRUE),
        (any_of([]), FALSE),
        (all_of(["a", "a"]), "a"),
        (all_of(["a", no("a")]), FALSE),
        (any_of(["a", no("a"), "b"]), TRUE),
        (all_of(["a", any_of(["a", "b"])]), "a"),
        (any_of(["a", all_of(["a", "b"])]), "a"),
        (no(all_of(["a", "b"])), any_of([no("a"), no("b")])),
        (no(no("a")), "a"),
    ],
    ids=range(9),
)
def test_what_says_nothing_more_is_left_out(said: Formula, meant: Formula) -> None:
    assert said == meant


def test_negation_stands_in_front_of_things_only() -> None:
    random_ = random.Random(3)
    for _ in range(500):
        formula = no(drawn(random_, 3))

        assert all(isinstance(thing, str) for thing in things_of(formula))


def test_things_are_changed_everywhere_and_negated_as_they_were() -> None:
    formula = all_of(["a", no("b")])

    assert mapped(formula, lambda thing: any_of([thing, "c"])) == all_of([any_of(["a", "c"]), no("b"), no("c")])
