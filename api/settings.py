"""Settings of the API, read from the environment (`CDP_*`)."""

from typing import Literal

from pydantic import Field

from segment_engine.runtime.settings import SharedSettings


class ApiSettings(SharedSettings):
    """What the API can be told from outside; `cdp doctor` lists it."""

    environment: Literal["development", "production"] = Field(
        default="development",
        description="In production the store's schema is only changed by `cdp db upgrade` / 运行环境",
    )
    api_threads: int = Field(default=2, ge=1, description="DuckDB threads of the API / 接口服务的 DuckDB 线程数")
    body_max_bytes: int = Field(
        default=64 * 1024, ge=1024, le=1 << 24, description="Largest JSON body, in bytes / JSON 请求体上限(字节)"
    )
    json_max_depth: int = Field(
        default=32, ge=1, le=100, description="Deepest nesting of a JSON body / JSON 请求体最大嵌套层数"
    )
    rate_limit_per_address: float = Field(
        default=200,
        ge=0,
        allow_inf_nan=False,
        description="Requests per second and address, 0 for no limit / 每地址每秒请求数,0 表示不限",
    )
    rate_burst_per_address: float = Field(
        default=400, ge=1, allow_inf_nan=False, description="Requests of one address at once / 每地址瞬时请求上限"
    )
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=300,
        description="How long a stopping API still answers, not ready / 停止前以未就绪状态继续服务的秒数",
    )
    shutdown_seconds: int = Field(
        default=10, ge=1, le=300, description="How long running requests may finish / 停止时等待进行中请求的秒数"
    )
    job_workers: int = Field(
        default=1, ge=0, le=16, description="Jobs that this process runs at once, 0 for none / 本进程同时执行的任务数"
    )
    job_lease_seconds: float = Field(
        default=60,
        ge=1,
        le=3600,
        allow_inf_nan=False,
        description="How long a job of a dead process waits for another / 进程失联后任务被接管前的秒数",
    )
    export_link_minutes: int = Field(
        default=60, ge=1, le=7 * 24 * 60, description="How long an export can be fetched / 导出链接有效分钟数"
    )
    outbox_transport: Literal["file", "console"] = Field(
        default="file", description="Where messages go: a file a day, or stdout / 消息发送方式"
    )
