"""Connected components over integers: hook, shortcut, contract. Knows nothing of identity.

Source: Shiloach and Vishkin, "An O(log n) parallel connectivity algorithm", Journal of Algorithms 3 (1982); here the
smaller root always wins, so that the label of a component is its smallest node whatever the order of the links.
"""

import numpy as np

from pipelines.identity.model import Ints


def connected_components(left: Ints, right: Ints, *, count: int) -> Ints:
    """Label every node of `0 … count-1` with the smallest node it is connected to.

    in:  one link per position of left and right (either direction, repeats and loops allowed)
    out: int32[count]; a node without links is its own label
    """
    label: Ints = np.arange(count, dtype=np.int32)
    while (apart := left != right).any():
        left, right = left[apart], right[apart]
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(label, high, low)
        label = _shortcut(label)
        left, right = label[low], label[high]
    return label


def _shortcut(label: Ints) -> Ints:
    """Point every node at the root of its tree."""
    while True:
        shorter = label[label]
        if np.array_equal(shorter, label):
            return label
        label = shorter
