"""From final rows to what was exported night by night: one initial batch, then a daily batch for each last day.

Writing the batches belongs to `writers`; a row's final state comes from the table's own module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from pipelines.sample.draw import Ints, moment
from pipelines.sample.season import DAILY_BATCHES


@dataclass(frozen=True, slots=True)
class Rows:
    """One table's rows in their final state, and when each was first exported and last changed.

    `before` gives the columns that were different when the row was first exported; `_born` is that moment there.
    """

    frame: pl.DataFrame
    born: Ints
    changed: Ints
    before: Mapping[str, pl.Expr] = field(default_factory=dict)


def by_batch(rows: Rows, cutoffs: Ints) -> list[pl.DataFrame]:
    """The rows of each batch: those first exported in it, as they were then, and those changed in it.

    out: one frame per batch (the initial one first), the columns of `rows.frame`; a row that was born and changed in
    one batch is there once, one that changed in a later batch is in both.
    """
    last = np.searchsorted(cutoffs, rows.changed, side="right")
    first = np.minimum(np.searchsorted(cutoffs, rows.born, side="right"), last)
    moved = first < last
    return [_batch(rows, number, first, last, moved) for number in range(DAILY_BATCHES + 1)]


def _batch(rows: Rows, number: int, first: Ints, last: Ints, moved: np.ndarray) -> pl.DataFrame:
    final = rows.frame.filter(pl.Series(last == number))
    earlier = moved & (first == number)
    if not rows.before or not earlier.any():
        return final
    names, types = rows.frame.columns, rows.frame.schema
    old = rows.frame.filter(pl.Series(earlier)).with_columns(moment(rows.born[earlier]).alias("_born"))
    changed = [expression.cast(types[name]).alias(name) for name, expression in rows.before.items()]
    return pl.concat([old.with_columns(changed).select(names), final])
