"""Who is whom: the person behind every identity of the sample. The pipeline never reads this.

Keys are those of `docs/architecture.md`: `<kind>:<scope>:<id>`.
"""

import numpy as np
import polars as pl

from pipelines.sample.accounts import FAN_APPS, MINI_APP, Accounts, WeChat
from pipelines.sample.chain import CORP_ID
from pipelines.sample.draw import Ints, join, texts
from pipelines.sample.files import Files
from pipelines.sample.leads import Leads
from pipelines.sample.people import People

COLUMNS = ("key", "kind", "person_id", "household_id", "is_guardian_contact")


def truth_of(people: People, files: Files, wechat: WeChat, leads: Leads) -> pl.DataFrame:
    """One row per identity of a chunk.

    out: key str, kind str, person_id int (customer number), household_id int (customer number of the family's first
         adult), is_guardian_contact bool: an account or lead of a person who is no patient but has a child who is
    """
    apps = texts(FAN_APPS, wechat.fans.brand)
    return pl.concat(
        [
            _rows("patient", join("patient:saas:", files.ids), files.person, people, is_file=True),
            _rows(
                "official_account_fan",
                join("official_account_fan:", apps, ":", wechat.fans.ids),
                wechat.fans.person,
                people,
            ),
            _rows("wecom_contact", _keys("wecom_contact", CORP_ID, wechat.contacts), wechat.contacts.person, people),
            _rows("mini_program_user", _keys("mini_program_user", MINI_APP, wechat.users), wechat.users.person, people),
            _rows("lead", join("lead:leads:", leads.ids), leads.person, people),
        ]
    )


def _keys(kind: str, scope: str, accounts: Accounts) -> pl.Series:
    return join(f"{kind}:{scope}:", accounts.ids)


def _rows(kind: str, keys: pl.Series, person: Ints, people: People, *, is_file: bool = False) -> pl.DataFrame:
    guardian = people.keeps_child & ~people.has_file & (not is_file)
    return pl.DataFrame(
        {
            "key": keys,
            "kind": pl.repeat(kind, len(keys), eager=True),
            "person_id": pl.Series(people.numbers[person]),
            "household_id": pl.Series(people.numbers[people.head[person]]),
            "is_guardian_contact": pl.Series(np.asarray(guardian)[person]),
        }
    )
