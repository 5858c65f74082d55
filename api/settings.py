"""Settings of the API, read from the environment (`CDP_*`)."""

from pydantic import Field

from segment_engine.runtime.settings import SharedSettings


class ApiSettings(SharedSettings):
    """What the API can be told from outside; `cdp doctor` lists it."""

    api_threads: int = Field(default=2, ge=1, description="DuckDB threads of the API / 接口服务的 DuckDB 线程数")
