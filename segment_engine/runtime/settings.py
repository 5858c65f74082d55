"""What pipelines and API are both told from outside (`CDP_*`), and what is said about a value that cannot be used.

Settings of one of them alone live in `pipelines.settings` and `api.settings`.
"""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from segment_engine.runtime.folders import DataFolders

PREFIX = "CDP_"
# Settings whose value is never shown, not even when it is wrong.
SECRETS = frozenset({"secret_key", "database_url", "wechat_app_secret"})


class SharedSettings(BaseSettings):
    """The data directory and the tenant's zone. Raises pydantic's ValidationError; `wrong_settings` tells it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    data_dir: Path = Field(default=Path("data"), description="Folder that holds all state / 全部数据所在目录")
    timezone: str = Field(
        default="Asia/Shanghai", description="The tenant's zone; days are its calendar days / 租户时区,按其日历计日"
    )

    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Key of digests and links; without it, secret.key in the data directory / 摘要与链接密钥",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Operational store: postgresql+psycopg://…; without it, SQLite in the data directory / 业务库地址",
    )
    smart_tag_quota: int = Field(
        default=100, ge=0, le=100_000, description="Smart tags enabled at once, before purchases / 智能标签默认可用数量"
    )
    smart_segment_quota: int = Field(
        default=50,
        ge=0,
        le=100_000,
        description="Smart segments enabled at once, before purchases / 智能分群默认可用数量",
    )

    @field_validator("data_dir")
    @classmethod
    def _is_no_file(cls, folder: Path) -> Path:
        existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not existing.is_dir():
            raise ValueError(f"{existing} is a file, not a folder / {existing} 是文件,应为目录")
        return folder

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("unknown time zone, write one like Asia/Shanghai / 未知时区,应如 Asia/Shanghai") from error
        return name

    @property
    def folders(self) -> DataFolders:
        return DataFolders(self.data_dir)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def wrong_settings(error: ValidationError) -> list[str]:
    """A sentence in both languages for each setting that cannot be used."""
    return [_sentence(problem) for problem in error.errors()]


def _sentence(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    chinese = CHINESE.get(problem["type"])
    told = f"{message} / {chinese.format(**problem.get('ctx', {}))}" if chinese else message
    if not problem["loc"]:
        return told  # about several settings at once: the message names them
    name = f"{PREFIX}{problem['loc'][0]}".upper()
    shown = "***" if problem["loc"][0] in SECRETS else problem["input"]
    return f"{name}={shown}: {told}"


# Our own validators ("value_error") speak both languages already.
CHINESE = {
    "int_parsing": "应为整数",
    "float_parsing": "应为数字",
    "date_from_datetime_parsing": "应为日期,如 2026-11-20",
    "date_parsing": "应为日期,如 2026-11-20",
    "greater_than_equal": "不能小于 {ge}",
}
