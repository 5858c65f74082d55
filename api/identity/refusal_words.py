"""Why a link was refused, in words. Pure; the codes are those of `pipelines.identity.limits`."""

from collections.abc import Mapping

SPLIT = "split"

_WORDS: Mapping[str, tuple[str, str]] = {
    "name": ("两位客户的患者姓名不同", "Their patient files bear different names."),
    "birth_date": ("两位客户的患者出生日期不同", "Their patient files have different birth dates."),
    "id_number": ("两位客户的患者证件号不同", "Their patient files have different ID numbers."),
    "unionids": ("合并后不同微信 UnionID 过多", "Together they would carry too many unionids for one person."),
    "records": ("合并后身份数过多", "Together they would be too many identities for one person."),
}


def reason_of(text: str) -> dict[str, str]:
    """`reason`, `reason_zh` and `reason_en` of a limit's name, or of `split:<override id>`."""
    code, _, override_id = text.partition(":")
    if code == SPLIT:
        told = f"人工规则 {override_id} 要求分开", f"The override {override_id} keeps them apart."
    else:
        told = _WORDS.get(code, (f"违反限制:{code}", f"It would break the limit {code}."))
    return {"reason": code, "reason_zh": told[0], "reason_en": told[1]}
