"""Settings of the API, read from the environment (`CDP_*`)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from segment_engine.runtime.folders import DataFolders


class ApiSettings(BaseSettings):
    """What the API can be told from outside."""

    model_config = SettingsConfigDict(env_prefix="CDP_", frozen=True)

    data_dir: Path = Field(default=Path("data"), description="Folder that holds all state")
    timezone: str = Field(default="Asia/Shanghai", description="The tenant's zone")
    api_threads: int = Field(default=2, ge=1, description="DuckDB threads of the API")

    @property
    def folders(self) -> DataFolders:
        return DataFolders(self.data_dir)
