"""Which patient files an account may act for: the own file, children's files, now and then a spouse's; and since when.

Used by fans and mini-program users alike; who is bound to whom differs and lives in `official_account` and
`mini_program`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.accounts import Accounts
from pipelines.sample.batches import Rows
from pipelines.sample.draw import Bools, Ints, Rng, between, chance, moment, never, within
from pipelines.sample.files import Files
from pipelines.sample.people import People

RELATIONS = ("本人", "父亲", "母亲", "配偶", "子女", "其他")
SELF, FATHER, MOTHER, SPOUSE, OFFSPRING, OTHER = range(6)


@dataclass(frozen=True, slots=True)
class Ties:
    """Account and file that belong together, and how the patient is related to the account's holder."""

    account: Ints
    file: Ints
    relation: Ints


def ties_of(rng: Rng, people: People, files: Files, accounts: Accounts, *, own: float, child: float) -> Ties:
    """Ties of a share `own` of accounts to the own file and `child` to children's files (2 % as 本人, by mistake)."""
    holder = accounts.person
    every = np.arange(accounts.size, dtype=np.int64)
    own_file = files.first_of[holder]
    self_at = np.flatnonzero((own_file >= 0) & chance(rng, accounts.size, own))
    mate = people.mate[holder]
    mate_file = np.where(mate >= 0, files.first_of[np.maximum(mate, 0)], -1)
    mate_at = np.flatnonzero((mate_file >= 0) & ~people.is_child[holder] & chance(rng, accounts.size, 0.04))
    child_account, child_file = _children(people, files, holder)
    kept = chance(rng, len(child_account), child)
    child_account, child_file = child_account[kept], child_file[kept]
    wrong = np.where(chance(rng, len(child_account), 0.02), SELF, OFFSPRING)
    return Ties(
        account=np.concatenate([every[self_at], mate_at, child_account]),
        file=np.concatenate([own_file[self_at], mate_file[mate_at], child_file]),
        relation=np.concatenate([np.full(len(self_at), SELF), np.full(len(mate_at), SPOUSE), wrong]).astype(np.int64),
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """When accounts are bound, in seconds: `soonest` to `latest` after they came, and `margin` before the season ends.

    A few bindings are undone, at most `longest` later.
    """

    soonest: int
    latest: int
    margin: int
    longest: int


def binding_rows(rng: Rng, season_close: int, since: Ints, pace: Pace, bound: Mapping[str, pl.Series]) -> Rows:
    """One row per binding: the columns that tell who is `bound` to whom, then since when and until when.

    since: when the account of each binding came
    """
    size = len(since)
    bound_at = since + within(between(rng, pace.soonest, pace.latest, size), season_close - pace.margin - since)
    undone_at = bound_at + between(rng, 3600, pace.longest, size)
    undone = chance(rng, size, 0.03) & (undone_at < season_close)
    changed = np.where(undone, undone_at, bound_at)
    frame = pl.DataFrame(
        {
            **bound,
            "bound_at": moment(bound_at),
            "unbound_at": moment(undone_at, undone),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"unbound_at": pl.lit(None), "updated_at": pl.col("bound_at")}
    return Rows(frame=frame, born=bound_at, changed=changed, before=before)


def _children(people: People, files: Files, holder: Ints) -> tuple[Ints, Ints]:
    """Pairs of an account and a file of the holder's child."""
    is_young: Bools = people.is_child[files.person] & (files.copy == 0)
    young = np.flatnonzero(is_young)
    parents = np.concatenate([people.head[files.person[young]], people.mate[files.person[young]]])
    file = np.concatenate([young, young])[parents >= 0]
    parents = parents[parents >= 0]
    order = np.argsort(parents, kind="stable")
    parents, file = parents[order], file[order]
    low, high = np.searchsorted(parents, holder), np.searchsorted(parents, holder, side="right")
    counts = (high - low) * ~people.is_child[holder]
    account = np.repeat(np.arange(len(holder), dtype=np.int64), counts)
    place = np.arange(len(account)) - np.repeat(np.cumsum(counts) - counts, counts)
    return account, file[low[account] + place]
