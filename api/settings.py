"""Settings of the API, read from the environment (`CDP_*`)."""

from pydantic import Field

from segment_engine.runtime.settings import SharedSettings


class ApiSettings(SharedSettings):
    """What the API can be told from outside; `cdp doctor` lists it."""

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
