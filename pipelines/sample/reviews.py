"""Service reviews (服务评价) of visits; the rewards for them belong to `rewards`."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample.batches import Rows
from pipelines.sample.dental_words import BAD_COMMENTS, BAD_TAGS, GOOD_COMMENTS, GOOD_TAGS, MIDDLE_COMMENTS
from pipelines.sample.draw import DAY, Dice, Ints, below, between, chance, moment, never, only, own_ids, texts
from pipelines.sample.encounters import Encounters
from pipelines.sample.files import Files
from pipelines.sample.world import World

_SCORE = Dice((0.01, 0.015, 0.015, 0.02, 0.02, 0.03, 0.05, 0.14, 0.2, 0.5))
# Who comes often is asked often, and has waited often.
_SCORE_OF_REGULARS = Dice((0.02, 0.03, 0.03, 0.04, 0.06, 0.08, 0.09, 0.15, 0.2, 0.3))
_REGULAR_VISITS = 4
_COMMENTS = GOOD_COMMENTS + MIDDLE_COMMENTS + BAD_COMMENTS
_COMMENT_COUNT = np.array((len(BAD_COMMENTS), len(MIDDLE_COMMENTS), len(GOOD_COMMENTS)), dtype=np.int64)
_COMMENT_FIRST = np.array((len(GOOD_COMMENTS) + len(MIDDLE_COMMENTS), len(GOOD_COMMENTS), 0), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Reviews:
    """The reviews of one chunk: their rows, and who wrote them when (for the rewards)."""

    rows: Rows
    file: Ints
    submitted_at: Ints
    ids: pl.Series


def reviews_of(world: World, chunk: int, files: Files, met: Encounters) -> Reviews:
    """One visit in five is reviewed, of regulars one in two; half an hour to two days after leaving."""
    rng = world.rng(chunk, "operational/reviews")
    close = world.season.close
    regular = np.bincount(met.file[met.came], minlength=files.size)[met.file] >= _REGULAR_VISITS
    at = met.pick(met.came & (met.visit_state == 2) & chance(rng, len(met.file), np.where(regular, 0.5, 0.2)))
    submitted = met.left_at[at] + 1800 + rng.exponential(0.4 * DAY, len(at)).astype(np.int64)
    at, submitted = at[submitted < close], submitted[submitted < close]
    size = len(at)
    score = np.where(regular[at], _SCORE_OF_REGULARS.throw(rng, size), _SCORE.throw(rng, size)) + 1
    mood = np.where(score >= 8, 2, np.where(score >= 5, 1, 0))
    replied_at = submitted + between(rng, 1800, 3 * DAY, size)
    replies = np.where((replied_at < close) & chance(rng, size, np.where(mood == 0, 0.9, 0.3)), 1, 0)
    changed = np.where(replies > 0, replied_at, submitted)
    ids = own_ids("RV", chunk, size)
    comment = texts(_COMMENTS, _COMMENT_FIRST[mood] + below(rng, _COMMENT_COUNT[mood]))
    frame = pl.DataFrame(
        {
            "review_id": ids,
            "visit_id": met.visit_ids.gather(at),
            "patient_id": files.ids.gather(met.file[at]),
            "clinic_id": texts(world.chain.clinic_ids, met.clinic[at]),
            "doctor_id": texts(world.chain.staff_ids, met.doctor[at]),
            "score10": pl.Series(score),
            "review_tags": only(_tags(between(rng, 0, 34, size), mood), chance(rng, size, 0.8)),
            "comment": only(comment, chance(rng, size, 0.55)),
            "is_on_wall": pl.Series((mood == 2) & chance(rng, size, 0.2)),
            "reply_count": pl.Series(replies),
            "submitted_at": moment(submitted),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"reply_count": pl.lit(0), "is_on_wall": pl.lit(False), "updated_at": pl.col("submitted_at")}
    rows = Rows(frame=frame, born=submitted, changed=changed, before=before)
    return Reviews(rows=rows, file=met.file[at], submitted_at=submitted, ids=ids)


def _pairs(tags: tuple[str, ...]) -> tuple[str, ...]:
    pairs = [f"{a}|{b}" for i, a in enumerate(tags) for b in tags[i + 1 :]]
    return tuple([*tags, *pairs] * 4)[:35]


_TAGS = _pairs(BAD_TAGS) + tuple(f"{a}|{b}" for a in GOOD_TAGS for b in BAD_TAGS) + _pairs(GOOD_TAGS)


def _tags(place: Ints, mood: Ints) -> pl.Series:
    return texts(_TAGS, mood * 35 + place)
