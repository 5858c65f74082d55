"""Settings of the pipeline, read from the environment (`CDP_*`); no other module reads the environment."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from segment_engine.runtime.folders import DataFolders


class PipelineSettings(BaseSettings):
    """Everything a night can be told from outside; `cdp doctor` lists it.

    Raises pydantic's ValidationError when a variable has a value that cannot be used.
    """

    model_config = SettingsConfigDict(env_prefix="CDP_", frozen=True)

    data_dir: Path = Field(default=Path("data"), description="Folder that holds all state")
    timezone: str = Field(default="Asia/Shanghai", description="The tenant's zone; days are its calendar days")
    first_business_day: date = Field(default=date(2024, 1, 1), description="Dagster's first daily partition")
    threads: int = Field(default=2, ge=1, description="DuckDB threads of the pipeline")
    memory_limit: str = Field(default="5GB", description="DuckDB memory limit of the pipeline")
    lock_wait_seconds: float = Field(default=5.0, ge=0, description="How long a run waits for the writer lock")
    keep_versions: int = Field(default=3, ge=1, description="Published versions that are kept")
    keep_grace_minutes: int = Field(
        default=10, ge=0, description="A version is kept at least this long after its successor is published"
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}") from error
        return name

    @property
    def folders(self) -> DataFolders:
        return DataFolders(self.data_dir)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)
