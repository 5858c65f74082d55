"""The dental chain itself: headquarters, clinics and their staff, and who works where.

Patients belong to `people` and `files`; activities and coupon templates to `campaigns`.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.sample import names
from pipelines.sample.batches import Rows
from pipelines.sample.draw import (
    DAY,
    Bools,
    Dice,
    Ints,
    Rng,
    below,
    between,
    chance,
    choose,
    day,
    join,
    moment,
    never,
    only,
    option,
    stream,
    texts,
)
from pipelines.sample.phones import OWNER_STAFF, phone_numbers
from pipelines.sample.season import Season

CUSTOMERS_PER_CLINIC = 2_500
MOST_CLINICS = 200
ROLES = (
    "公司管理员",
    "诊所管理员",
    "医生",
    "护士",
    "牙医助理",
    "咨询师",
    "网电咨询师",
    "客服",
    "前台",
    "市场",
    "数据分析师",
)
_HEADQUARTERS = {"公司管理员": 2, "网电咨询师": 6, "市场": 3, "数据分析师": 2, "客服": 4}
_CLINIC = {"诊所管理员": 1, "医生": 6, "护士": 4, "牙医助理": 2, "咨询师": 2, "客服": 2, "前台": 2}
CORP_ID = "ww3f9c1b7a2d8e4506"


@dataclass(frozen=True, slots=True)
class Chain:
    """Clinics (place 0 is the headquarters) and staff, as columns; places are indexes into them."""

    clinic_ids: pl.Series
    clinic_names: pl.Series
    clinic_phones: pl.Series  # landlines and one 400 number
    desk_phones: pl.Series  # the mobile that lies on the front desk
    cities: Ints
    opened: Ints  # day numbers
    weights: Dice  # how customers fall to places 1..n
    staff_ids: pl.Series
    staff_names: pl.Series
    staff_phones: pl.Series
    wecom_ids: pl.Series
    staff_clinics: Ints
    staff_roles: Ints
    staff_hired: Ints
    staff_left: Bools
    first_of: Ints  # [role, clinic place] → first staff place
    count_of: Ints  # [role, clinic place] → how many

    @property
    def clinics(self) -> int:
        """Places including the headquarters."""
        return len(self.clinic_ids)

    def draw_clinics(self, rng: Rng, size: int) -> Ints:
        """Clinic places, never the headquarters; large clinics are more likely."""
        return self.weights.throw(rng, size) + 1

    def draw_staff(self, rng: Rng, role: str, clinics: Ints) -> Ints:
        """A staff place with the role at each clinic place; roles only headquarters has are taken from there."""
        place = ROLES.index(role)
        at = np.where(self.count_of[place, clinics] > 0, clinics, 0)
        staff: Ints = self.first_of[place, at] + below(rng, self.count_of[place, at])
        return staff


def chain_of(*, seed: int, customers: int, season: Season) -> Chain:
    """The chain for so many customers: one clinic per 2,500, at least 3 and at most 200."""
    rng = stream(seed, 1, customers)
    count = min(MOST_CLINICS, max(3, -(-customers // CUSTOMERS_PER_CLINIC))) + 1
    places = np.arange(count, dtype=np.int64)
    cities = np.minimum(below(rng, np.full(count, 2 + min(count // 3, len(names.CITIES) - 2))), len(names.CITIES) - 1)
    staff_clinics, staff_roles = _posts(count)
    staff = len(staff_clinics)
    first_of, count_of = _directory(staff_clinics, staff_roles, count)
    opened = season.first - between(rng, 200, 4000, count)
    landlines = join(texts([c[2] for c in names.CITIES], cities), "-", 80_000_000 + places * 137 + 11)
    phones = choose(places % 5 == 0, pl.repeat("400-820-6655", count, eager=True), landlines)
    desk = phone_numbers(OWNER_STAFF, 900_000 + places)
    shown = ["集团总部", *_clinic_names(cities, count)]
    return Chain(
        clinic_ids=join("C", 1000 + places),
        clinic_names=pl.Series(shown),
        clinic_phones=phones,
        desk_phones=desk,
        cities=cities,
        opened=opened,
        weights=Dice([1.0 / math.sqrt(place) for place in range(2, count + 1)]),
        staff_ids=join("E", 100_000 + np.arange(staff, dtype=np.int64)),
        staff_names=_staff_names(rng, staff),
        staff_phones=phone_numbers(OWNER_STAFF, np.arange(staff, dtype=np.int64)),
        wecom_ids=join(
            "wx_", texts(_LOGINS, below(rng, np.full(staff, len(_LOGINS)))), np.arange(staff, dtype=np.int64)
        ),
        staff_clinics=staff_clinics,
        staff_roles=staff_roles,
        staff_hired=np.maximum(opened[staff_clinics], season.first - between(rng, 30, 3000, staff)),
        staff_left=chance(rng, staff, 0.04),
        first_of=first_of,
        count_of=count_of,
    )


_LOGINS = ("chen", "wang", "li", "zhang", "liu", "huang", "zhao", "wu", "zhou", "xu", "lin", "he")


def _posts(count: int) -> tuple[Ints, Ints]:
    posts = [(0, ROLES.index(role)) for role, size in _HEADQUARTERS.items() for _ in range(size)]
    each = [ROLES.index(role) for role, size in _CLINIC.items() for _ in range(size)]
    posts += [(place, role) for place in range(1, count) for role in each]
    table = np.array(posts, dtype=np.int64)
    return table[:, 0], table[:, 1]


def _directory(clinics: Ints, roles: Ints, count: int) -> tuple[Ints, Ints]:
    first = np.zeros((len(ROLES), count), dtype=np.int64)
    size = np.zeros((len(ROLES), count), dtype=np.int64)
    for place in range(len(clinics) - 1, -1, -1):
        first[roles[place], clinics[place]] = place
        size[roles[place], clinics[place]] += 1
    return first, size


def _clinic_names(cities: Ints, count: int) -> list[str]:
    size = len(names.DISTRICTS)
    turns = ["" if place <= size else f"{place // size + 1}店" for place in range(count)]
    towns = [names.CITIES[city][1].removesuffix("市") for city in cities]
    return [f"{towns[p]}{names.DISTRICTS[p % size]}{turns[p]}口腔门诊" for p in range(1, count)]


def _staff_names(rng: Rng, size: int) -> pl.Series:
    surnames = Dice([w for _, w in names.SURNAMES]).throw(rng, size)
    given = names.WOMEN + names.MEN
    return texts([s for s, _ in names.SURNAMES], surnames) + texts(given, below(rng, np.full(size, len(given))))


def chain_tables(chain: Chain, *, seed: int, season: Season) -> dict[str, Rows]:
    """Rows of saas/clinics, saas/staff and saas/staff_roles, with a few changes in the last days."""
    return {
        "saas/clinics": _clinics(chain, season),
        "saas/staff": _staff(chain, stream(seed, 2), season),
        "saas/staff_roles": _staff_roles(chain, season),
    }


def _clinics(chain: Chain, season: Season) -> Rows:
    size = chain.clinics
    places = np.arange(size, dtype=np.int64)
    status = np.where(places % 23 == 22, 1, np.where(places % 17 == 16, 3, np.where(places % 29 == 28, 0, 2)))
    changed = np.where(places == 1, season.close - DAY + 36_000, (season.first - 100) * DAY + 36_000)
    born = np.full(size, (season.first - 100) * DAY + 36_000, dtype=np.int64)
    cities = chain.cities
    frame = pl.DataFrame(
        {
            "clinic_id": chain.clinic_ids,
            "clinic_name": chain.clinic_names,
            "is_headquarters": pl.Series(places == 0),
            "clinic_type": option(("直营", "加盟"), (places % 7 == 6).astype(np.int64)),
            "province": texts([c[0] for c in names.CITIES], cities),
            "city": texts([c[1] for c in names.CITIES], cities),
            "phone": chain.clinic_phones,
            "opened_on": day(chain.opened),
            "cdp_status": option(("未开通", "初始化中", "已开通", "已到期"), status),
            "cdp_expires_on": day(np.full(size, season.last + 200), status == 2),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"phone": pl.lit("0755-86000000"), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=born, changed=changed, before=before)


def _staff(chain: Chain, rng: Rng, season: Season) -> Rows:
    size = len(chain.staff_ids)
    born = np.maximum(chain.staff_hired, season.first - 300) * DAY + 32_400
    left = chain.staff_left
    changed = np.where(left, (season.last - between(rng, 0, 300, size)) * DAY + 64_800, born)
    changed = np.maximum(np.where(np.arange(size) == 5, season.close - 30_000, changed), born)
    frame = pl.DataFrame(
        {
            "staff_id": chain.staff_ids,
            "staff_name": chain.staff_names,
            "phone": chain.staff_phones,
            "clinic_id": texts(chain.clinic_ids, chain.staff_clinics),
            "status": option(("在职", "离职"), left.astype(np.int64)),
            "wecom_user_id": only(chain.wecom_ids, ~left),
            "hired_on": day(chain.staff_hired),
            "is_deleted": never(size),
            "updated_at": moment(changed),
        }
    )
    before = {"status": pl.lit("在职"), "updated_at": pl.col("_born")}
    return Rows(frame=frame, born=born, changed=changed, before=before)


def _staff_roles(chain: Chain, season: Season) -> Rows:
    born = np.maximum(chain.staff_hired, season.first - 300) * DAY + 32_400
    changed = np.where(np.arange(len(born)) == 5, season.close - 30_000, born)
    frame = pl.DataFrame(
        {
            "staff_id": chain.staff_ids,
            "role": option(ROLES, chain.staff_roles),
            "clinic_id": texts(chain.clinic_ids, chain.staff_clinics),
            "is_deleted": never(len(born)),
            "updated_at": moment(changed),
        }
    )
    return Rows(frame=frame, born=born, changed=changed, before={"updated_at": pl.col("_born")})
