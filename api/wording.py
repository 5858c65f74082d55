"""Chinese texts of what pydantic finds; `{…}` is filled from the finding's limits, never from the caller's input."""

from collections.abc import Mapping

UNKNOWN = "取值不正确"
LIMITS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "expected", "max_digits", "decimal_places",
          "discriminator", "expected_tags")  # fmt: skip


def chinese(code: str, limits: Mapping[str, object]) -> str:
    """The text for pydantic's error type; `limits` is the finding's `ctx`."""
    shown = {name: limits[name] for name in LIMITS if name in limits}
    if "expected" in shown:  # pydantic joins what may be chosen in English
        shown["expected"] = str(shown["expected"]).replace("' or '", "' 或 '")
    try:
        return CHINESE.get(code, UNKNOWN).format_map(shown)
    except KeyError:
        return UNKNOWN


CHINESE = {
    # members
    "missing": "缺少必填项",
    "extra_forbidden": "不支持的参数",
    "invalid_key": "字段名应为文本",
    "none_required": "应为空值 null",
    # permissions
    "unknown_permission": "没有这个权限点",
    # objects and lists
    "model_type": "应为 JSON 对象",
    "model_attributes_type": "应为 JSON 对象",
    "dataclass_type": "应为 JSON 对象",
    "dict_type": "应为 JSON 对象",
    "mapping_type": "应为 JSON 对象",
    "list_type": "应为列表",
    "tuple_type": "应为列表",
    "set_type": "应为列表",
    "frozen_set_type": "应为列表",
    "iterable_type": "应为列表",
    "set_item_not_hashable": "列表中的取值不正确",
    "too_short": "至少需要 {min_length} 项",
    "too_long": "最多允许 {max_length} 项",
    "union_tag_invalid": "{discriminator} 应为以下之一:{expected_tags}",
    "union_tag_not_found": "缺少 {discriminator}",
    # tags
    "unknown_color": "应为预设颜色,或 #RRGGBB 形式的自定义颜色",
    # text
    "string_type": "应为文本",
    "string_unicode": "文本含有无效字符",
    "string_too_short": "文本过短,至少 {min_length} 个字符",
    "string_too_long": "文本过长,最多 {max_length} 个字符",
    "string_pattern_mismatch": "格式不正确",
    "string_not_ascii": "只允许 ASCII 字符",
    "enum": "应为以下之一:{expected}",
    "not_several_of": "应为以下之一或多个(英文逗号分隔,不可重复):{expected}",
    "literal_error": "应为以下之一:{expected}",
    "uuid_type": "应为 UUID 文本",
    "uuid_parsing": "应为 UUID 文本",
    "uuid_version": "UUID 版本不正确",
    "url_type": "应为网址",
    "url_parsing": "网址格式不正确",
    "url_syntax_violation": "网址格式不正确",
    "url_too_long": "网址过长",
    "url_scheme": "网址协议不受支持",
    # truths and numbers
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_parsing_size": "整数位数过多",
    "int_from_float": "应为整数",
    "float_type": "应为数字",
    "float_parsing": "应为数字",
    "finite_number": "应为有限数值",
    "greater_than": "数值应大于 {gt}",
    "greater_than_equal": "数值不能小于 {ge}",
    "less_than": "数值应小于 {lt}",
    "less_than_equal": "数值不能大于 {le}",
    "multiple_of": "数值应为 {multiple_of} 的倍数",
    "decimal_type": "应为数字",
    "decimal_parsing": "应为数字",
    "decimal_max_digits": "数字总位数不能超过 {max_digits}",
    "decimal_max_places": "小数位数不能超过 {decimal_places}",
    "decimal_whole_digits": "整数位数过多",
    # days and moments
    "days_out_of_order": "结束日期不能早于开始日期",
    "moments_out_of_order": "结束时间应晚于开始时间",
    "date_type": "应为日期,如 2026-11-20",
    "date_parsing": "应为日期,如 2026-11-20",
    "date_from_datetime_parsing": "应为日期,如 2026-11-20",
    "date_from_datetime_inexact": "应为日期,如 2026-11-20",
    "date_past": "日期应早于今天",
    "date_future": "日期应晚于今天",
    "time_type": "应为时间,如 09:30",
    "time_parsing": "应为时间,如 09:30",
    "datetime_type": "应为带时区的时间,如 2026-11-20T09:30:00+08:00",
    "datetime_parsing": "应为带时区的时间,如 2026-11-20T09:30:00+08:00",
    "datetime_object_invalid": "应为带时区的时间,如 2026-11-20T09:30:00+08:00",
    "datetime_from_date_parsing": "应为带时区的时间,如 2026-11-20T09:30:00+08:00",
    "datetime_past": "时间应早于现在",
    "datetime_future": "时间应晚于现在",
    "timezone_naive": "时间不应带时区",
    "timezone_aware": "时间必须带时区",
    "timezone_offset": "时区偏移不正确",
    "time_delta_type": "应为时长",
    "time_delta_parsing": "应为时长",
    # rules of our own, raised by validators
    "value_error": "取值不正确",
    "assertion_error": "取值不正确",
    "one_of": "所列方式中须且只能选用一种",
    "repeated_item": "每项只能出现一次",
    "control_character": "文本含有不允许的控制字符",
    "day_out_of_range": "年份应在 1900 至 2200 之间",
    "moment_out_of_range": "年份应在 1900 至 2200 之间",
    # the body as a whole
    "json_invalid": "请求体不是有效的 JSON",
    "json_type": "应为 JSON 文本",
    "bytes_type": "应为 JSON 文本",
}
