"""The catalogue of reasons: why a row is quarantined and why a batch is refused, each in Chinese and English.

Deciding which reason applies belongs to `normalise`, `records` and the modules that check batches; writing the
quarantine files to `pipelines.warehouse.load`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.ingest.problems import Problem


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was not taken: a stable code and one sentence in each language."""

    code: str
    zh: str
    en: str


def _catalogue(*reasons: Reason) -> Mapping[str, Reason]:
    return {reason.code: reason for reason in reasons}


ROW_REASONS: Mapping[str, Reason] = _catalogue(
    Reason("missing_required", "必填字段为空", "a required value is missing"),
    Reason("not_in_allowed", "取值不在允许范围内", "the value is not one of the allowed values"),
    Reason("not_a_number", "不是数字", "the value is not a number"),
    Reason("not_an_integer", "不是整数", "the value is not a whole number"),
    Reason("not_a_whole_fen", "以分为单位的金额不是整数", "an amount in fen is not a whole number"),
    Reason("too_many_decimals", "金额小数超过两位", "the amount has more than two decimals"),
    Reason("out_of_range", "数值超出允许范围", "the value lies outside the allowed range"),
    Reason("bad_date", "日期无法识别, 应为 2026-11-20", "the day cannot be read; write 2026-11-20"),
    Reason(
        "bad_datetime",
        "时间无法识别, 应为 2026-11-20T08:00:00+08:00",
        "the moment cannot be read; write 2026-11-20T08:00:00+08:00",
    ),
    Reason("bad_boolean", "应为 true/false/1/0/是/否", "the value must be true/false/1/0/是/否"),
    Reason(
        "bad_list", "列表无法识别, 应为 JSON 数组或用 | 分隔", "the list must be a JSON array or text separated by |"
    ),
    Reason("nul_character", "文本含有空字符 (NUL)", "the text holds a NUL character"),
    Reason("too_late", "晚于允许的补传期限", "the row is older than the table accepts late"),
    Reason("from_the_future", "时间晚于批次窗口一天以上", "the moment lies more than a day after the batch's window"),
    Reason(
        "malformed_row",
        "行结构损坏: 列数与表头不符、引号不配对、文字编码损坏或 JSON 无法解析",
        "the row is broken: wrong number of columns, unmatched quotes, broken encoding, or no JSON object",
    ),
)

REFUSALS: Mapping[str, Reason] = _catalogue(
    Reason("unreadable_manifest", "清单无法读取: {detail}", "the manifest cannot be read: {detail}"),
    Reason("missing_key", "清单缺少该项", "the manifest lacks this entry"),
    Reason("unknown_key", "清单有未知的项 {found}", "the manifest has an unknown entry {found}"),
    Reason("wrong_value", "应为 {expected}, 实为 {found}", "expected {expected}, found {found}"),
    Reason("unknown_table", "没有 {table} 的契约", "there is no contract for {table}"),
    Reason(
        "unsupported_schema_version",
        "契约版本为 {expected}, 清单为 {found}",
        "the contract has version {expected}, the manifest says {found}",
    ),
    Reason("wrong_folder", "目录为 {expected}, 清单写的是 {found}", "the folder says {expected}, the manifest {found}"),
    Reason(
        "row_count_mismatch",
        "清单声明 {expected} 行, 实为 {found} 行",
        "the manifest says {expected} rows, found {found}",
    ),
    Reason("checksum_mismatch", "文件内容与清单的 sha256 不符", "the file's content does not match its sha256"),
    Reason(
        "size_mismatch", "清单声明 {expected} 字节, 实为 {found}", "the manifest says {expected} bytes, found {found}"
    ),
    Reason("file_missing", "文件不存在", "the file does not exist"),
    Reason("missing_column", "缺少必需的列 {column}", "the required column {column} is missing"),
    Reason("duplicate_column", "列 {column} 重复出现", "the column {column} appears more than once"),
    Reason("unreadable_file", "文件无法解析: {detail}", "the file cannot be parsed: {detail}"),
    Reason("parser_crashed", "解析进程崩溃", "the parser process crashed on this file"),
    Reason("parser_timeout", "解析超过 {seconds} 秒", "parsing took longer than {seconds} seconds"),
    Reason(
        "batch_id_reused",
        "批次号已用于其他内容, 请换新的批次号",
        "this batch id was already loaded with other content; use a new one",
    ),
    Reason(
        "erased_batch_unreadable",
        "该批次曾含已删除的个人信息, 重新送达的文件无法逐行核对, 已移除",
        "the batch held a person who was erased; what came again cannot be looked through and was removed",
    ),
)


def refusal(code: str, path: str, **details: object) -> Problem:
    """The problem of that code at `path`, its sentences filled with `details`; KeyError for an unknown code."""
    reason = REFUSALS[code]
    return Problem(code, path, reason.zh.format(**details), reason.en.format(**details))
