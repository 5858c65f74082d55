"""The kinds of messages that leave the platform, and how often each may arrive."""

from dataclasses import dataclass
from enum import StrEnum


class Delivery(StrEnum):
    """What a crash between sending and noting it does: the message is lost from sight, or sent again."""

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


@dataclass(frozen=True, slots=True)
class MessageKind:
    """One kind of message; whoever receives an at-least-once kind tells repeats apart by `dedupe_key`."""

    name: str
    delivery: Delivery
    description_zh: str
    description_en: str


JOB_FINISHED = MessageKind(
    "job.finished",
    Delivery.AT_LEAST_ONCE,
    "后台任务已结束(成功、失败或取消)",
    "A job ended: succeeded, failed, cancelled.",
)
CUSTOMER_ERASED = MessageKind(
    "customer.erased",
    Delivery.AT_LEAST_ONCE,
    "客户个人信息已删除,下游系统应同步删除",
    "A customer's personal data was erased; systems downstream should erase theirs.",
)
CUSTOMER_MESSAGE_TASK = MessageKind(
    "customer.message_task",
    Delivery.AT_MOST_ONCE,
    "群发任务中发给一位客户的消息,由对接的短信或企微服务投递",
    "One customer's message of a message task; the SMS or WeCom service that is connected delivers it.",
)

KINDS = {kind.name: kind for kind in (JOB_FINISHED, CUSTOMER_ERASED, CUSTOMER_MESSAGE_TASK)}
