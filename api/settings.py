"""Settings of the API, read from the environment (`CDP_*`)."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from segment_engine.runtime.settings import SharedSettings


class ApiSettings(SharedSettings):
    """What the API can be told from outside; `cdp doctor` lists it."""

    environment: Literal["development", "production"] = Field(
        default="development",
        description="In production only `cdp db upgrade` changes the store's schema / 运行环境",
    )
    api_threads: int = Field(default=2, ge=1, description="DuckDB threads of the API / 接口服务的 DuckDB 线程数")
    body_max_bytes: int = Field(
        default=256 * 1024, ge=1024, le=1 << 24, description="Largest JSON body, in bytes / JSON 请求体上限(字节)"
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
    rate_limit_per_patient: float = Field(
        default=5,
        ge=0,
        allow_inf_nan=False,
        description="Requests per second and patient account, 0 for no limit / 每患者账号每秒请求数,0 表示不限",
    )
    oidc_issuer: str | None = Field(
        default=None, description="OpenID Connect issuer whose tokens staff may use / 统一身份认证的签发者地址"
    )
    oidc_audience: str | None = Field(
        default=None, min_length=1, description="Audience that those tokens must name / 令牌必须包含的受众"
    )
    oidc_claim: str = Field(
        default="sub", min_length=1, description="Claim that holds an actor's oidc_subject / 对应员工的声明字段"
    )
    wechat_app_id: str | None = Field(
        default=None, min_length=1, description="Mini program whose users may log in / 患者小程序的 AppID"
    )
    wechat_app_secret: SecretStr | None = Field(
        default=None, min_length=1, description="That mini program's secret / 患者小程序的 AppSecret"
    )
    wechat_api_url: str = Field(
        default="https://api.weixin.qq.com", description="WeChat's API, or a gateway to it / 微信接口地址"
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

    @field_validator("oidc_issuer", "wechat_api_url")
    @classmethod
    def _is_safe_to_call(cls, address: str | None) -> str | None:
        """Keys and secrets travel there: encrypted, unless they never leave the machine."""
        if address is None:
            return None
        url = urlsplit(address)
        local = url.scheme == "http" and url.hostname in ("127.0.0.1", "::1", "localhost")
        if not url.hostname or not (url.scheme == "https" or local):
            raise ValueError("the address should begin with https:// / 地址应以 https:// 开头")
        return address

    @model_validator(mode="after")
    def _audience_is_told(self) -> Self:
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError(
                "CDP_OIDC_ISSUER needs CDP_OIDC_AUDIENCE: otherwise tokens for other services would be taken / "
                "设置 CDP_OIDC_ISSUER 时必须同时设置 CDP_OIDC_AUDIENCE"
            )
        return self
