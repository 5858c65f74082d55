"""The prompts about how many smart tags and segments are left (S003 5.4, 6.4), word for word. Pure."""

from api.storage.audience_quotas import Quota
from segment_engine.sentences import Sentence
from segment_engine.tree import AudienceKind

_WORDS = {AudienceKind.TAG: ("智能标签", "smart tags"), AudienceKind.SEGMENT: ("智能分群", "smart segments")}


def prompt(quota: Quota) -> Sentence:
    """What stands on top of the page."""
    zh, en = _WORDS[quota.kind]
    told = Sentence(
        f"当前可用{zh}总数为{quota.total}个,已启用{quota.enabled}个,还可创建启用{quota.available}个。",
        f"In all {quota.total} {en} can be enabled, {quota.enabled} of them now in use; {quota.available} more can be "
        "created and enabled. ",
    )
    if quota.expiring is None:
        return told + Sentence(
            "如数量不够用,可联系服务人员扩充。", "If that is not enough, contact our service staff for more."
        )
    amount, on = quota.expiring.amount, quota.expiring.on.isoformat()
    return told + Sentence(
        f"有{amount}个{zh}将在{on}到期。为保障功能正常使用,请及时续期。联系服务人员扩充。",
        f"{amount} {en} expire on {on}: please renew them in time so that everything keeps working. "
        "Contact our service staff for more.",
    )
