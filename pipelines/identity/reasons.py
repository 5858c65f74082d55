"""The standing reason of a record: the strongest accepted value that another record of its customer carries.

This is what the seed calls 身份匹配过程. Causes of changes are found in `causes.py`.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from pipelines.identity.encode import Records, text_ranks
from pipelines.identity.limits import Partition
from pipelines.identity.model import Ints
from pipelines.identity.value_states import Links, paired_links

NONE, MERGED = -1, -2


@dataclass(frozen=True, slots=True)
class Reasons:
    """Per rec: the value (NONE for a record alone, MERGED when an operator joined it) and the other record, or NONE."""

    val: Ints
    via: Ints


def accepted_links(links: Links, partition: Partition, records: Records) -> Links:
    """The links that joined, of values that still have two carriers."""
    if partition.accepted.all():
        return links
    joined = np.flatnonzero(partition.accepted)
    val = links.val[joined]
    joined = joined[(np.bincount(val) > 1)[val]]
    return paired_links(links.place[joined], links.rec[joined], links.val[joined], links.strength[joined], records)


def standing_reasons(con: duckdb.DuckDBPyConnection, links: Links, partition: Partition, records: Records) -> Reasons:
    """Choose each record's reason by (tier, position, value type, value); the other record is the first by idx."""
    chosen = _strongest(con, links, records.count)
    val, via = np.full((2, records.count), NONE, dtype=np.int32)
    rec = links.rec[chosen]
    val[rec] = links.val[chosen]
    via[rec] = np.where(links.first[chosen] == rec, links.second[chosen], links.first[chosen])
    _tell_merges(val, via, partition.voice, records)
    return Reasons(val, via)


def _strongest(con: duckdb.DuckDBPyConnection, links: Links, count: int) -> Ints:
    """The position of each record's strongest link."""
    best = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(best, links.rec, links.strength)
    chosen = np.flatnonzero(links.strength == best[links.rec])
    rivals = (np.bincount(links.rec[chosen], minlength=count) > 1)[links.rec[chosen]]
    if not rivals.any():
        return chosen
    tied = chosen[rivals]
    order = np.lexsort((text_ranks(con, links.val[tied]), links.rec[tied]))
    tied = tied[order]
    first = np.insert(links.rec[tied][1:] != links.rec[tied][:-1], 0, True)
    return np.concatenate([chosen[~rivals], tied[first]])


def _tell_merges(val: Ints, via: Ints, voice: Ints, records: Records) -> None:
    """An operator's word is the strongest: merged records name their first record, and that one names the second."""
    followers = np.flatnonzero(voice != np.arange(voice.size))
    followers = followers[np.argsort(-records.idx[followers])]
    val[followers], via[followers] = MERGED, voice[followers]
    # Later assignments win, so the follower with the smallest idx remains.
    val[voice[followers]], via[voice[followers]] = MERGED, followers
