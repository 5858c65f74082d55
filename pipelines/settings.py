"""Settings of the pipeline, read from the environment (`CDP_*`); no other module reads the environment."""

from datetime import date

from pydantic import Field, field_validator

from segment_engine.runtime.settings import SharedSettings


class PipelineSettings(SharedSettings):
    """Everything a night can be told from outside; `cdp doctor` lists it.

    Raises pydantic's ValidationError when a variable has a value that cannot be used.
    """

    first_business_day: date = Field(
        default=date(2024, 1, 1), description="Dagster's first daily partition / Dagster 的第一个业务日分区"
    )
    threads: int = Field(default=2, ge=1, description="DuckDB threads of the pipeline / 流水线的 DuckDB 线程数")
    memory_limit: str = Field(
        default="5GB", description="DuckDB memory limit of the pipeline / 流水线的 DuckDB 内存上限"
    )
    lock_wait_seconds: float = Field(
        default=5.0, ge=0, description="How long a run waits for the writer lock / 等待写锁的秒数"
    )
    keep_versions: int = Field(default=3, ge=1, description="Published versions that are kept / 保留的发布版本数")
    keep_grace_minutes: int = Field(
        default=10,
        ge=0,
        description="A version stays at least this long after its successor came / 版本被替代后至少保留的分钟数",
    )

    @field_validator("memory_limit")
    @classmethod
    def _known_to_duckdb(cls, limit: str) -> str:
        import duckdb  # noqa: PLC0415  (only a limit that was given pays for asking)

        try:
            with duckdb.connect() as con:
                con.execute("set memory_limit = $limit", {"limit": limit})
        except duckdb.Error as error:
            raise ValueError("DuckDB takes no such limit, write one like 5GB / 内存上限无效,应如 5GB") from error
        return limit
