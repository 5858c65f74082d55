import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components as scipy_components

from pipelines.identity.components import connected_components


def _by_networkx(links: list[tuple[int, int]], count: int) -> list[int]:
    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(links)
    label = [0] * count
    for component in nx.connected_components(graph):
        for node in component:
            label[node] = min(component)
    return label


def _label(links: list[tuple[int, int]], count: int) -> list[int]:
    left, right = np.array(links, dtype=np.int64).reshape(-1, 2).T
    return connected_components(left, right, count=count).tolist()


@settings(deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda count: st.tuples(
            st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=60), st.just(count)
        )
    )
)
def test_labels_equal_networkx_on_any_graph(graph: tuple[list[tuple[int, int]], int]):
    assert _label(*graph) == _by_networkx(*graph)


@pytest.mark.parametrize("density", [0.3, 0.9, 2.0])
def test_partition_equals_scipy_on_large_random_graphs(density: float):
    rng = np.random.default_rng(7)
    count = 20_000
    left, right = rng.integers(0, count, (2, int(count * density)))

    label = connected_components(left, right, count=count)

    _, theirs = scipy_components(coo_matrix((np.ones(left.size), (left, right)), shape=(count, count)), directed=False)
    smallest = np.full(count, count)
    np.minimum.at(smallest, theirs, np.arange(count))
    assert np.array_equal(label, smallest[theirs])


def test_long_path_in_unlucky_order_is_one_component():
    order = np.random.default_rng(3).permutation(5_000)

    label = connected_components(order[:-1], order[1:], count=5_000)

    assert not label.any()


def test_nodes_without_links_stand_alone():
    assert _label([], 3) == [0, 1, 2]
