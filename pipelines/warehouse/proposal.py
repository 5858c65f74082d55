"""What somebody asks to be previewed: operator rows to be made, and ids of rows to be revoked. As JSON, checked.

    {"rows": [{"kind": "merge", "a": "patient:saas:1", "b": "patient:saas:2"}], "revoke": ["ov_…"]}

A row may have an `id`, by which its events name it. Which rows stand is said in `warehouse.overrides`, what they do in
`pipelines.identity.overrides`.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.storage.overrides import OperatorRow, Standing
from pipelines.identity.keys import phone_e164
from pipelines.identity.overrides import KINDS_OF_OVERRIDE
from pipelines.identity.refusals import Problem

# Which of a and b hold an identity's key and which a value, by kind.
_KEYS: Final = {"merge": ("a", "b"), "split": ("a", "b"), "detach": ("a",), "owner": ("b",), "block": (), "allow": ()}
_VALUE: Final = {"detach": "b", "owner": "a", "block": "a", "allow": "a"}
_MEMBERS: Final = ("rows", "revoke")
_CELLS: Final = ("id", "kind", "a", "b")


class InvalidProposalError(Exception):
    """Nothing was previewed; `problems` holds everything that could be known at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message_en}" for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Rows to be made, in their order, and ids of standing rows to be revoked."""

    rows: tuple[OperatorRow, ...] = ()
    revoked: tuple[str, ...] = ()


def read_proposal(text: str | bytes) -> Proposal:
    """The proposal that a JSON text tells; raises InvalidProposalError."""
    try:
        told = json.loads(text)
        # Halves of characters are no text: nothing can print or store them.
        json.dumps(told, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidProposalError([Problem("not_json", "", "不是有效的 JSON", "This is no JSON.")]) from None
    if not isinstance(told, dict) or not all(isinstance(told.get(name, []), list) for name in _MEMBERS):
        raise InvalidProposalError([_shape("")])
    problems = [_unknown_member(f"/{name}") for name in told if name not in _MEMBERS]
    rows, revoked = told.get("rows", []), told.get("revoke", [])
    for place, row in enumerate(rows):
        problems += _wrong_with(row, f"/rows/{place}")
    problems += [_shape(f"/revoke/{place}") for place, one in enumerate(revoked) if not _is_text(one)]
    if not problems and not rows and not revoked:
        problems = [Problem("empty", "", "没有任何规则", "Neither rows nor revoke holds anything.")]
    if problems:
        raise InvalidProposalError(problems)
    return Proposal(tuple(_row(row, f"proposed-{place}") for place, row in enumerate(rows, 1)), tuple(revoked))


def proposed_rows(standing: Sequence[OperatorRow], proposal: Proposal, known: Collection[str]) -> list[OperatorRow]:
    """The rows that would stand; raises InvalidProposalError for what cannot, as saving would.

    `known`: those of `keys_of(proposal)` that are there.
    """
    ids = {row.id for row in standing}
    problems = [_no_override(f"/revoke/{place}", one) for place, one in enumerate(proposal.revoked) if one not in ids]
    rows = [row for row in standing if row.id not in proposal.revoked]
    stands, ids = Standing(rows), {row.id for row in rows}
    for place, row in enumerate(proposal.rows):
        path = f"/rows/{place}"
        problems += [_no_identity(f"{path}/{cell}") for cell in _KEYS[row.kind] if getattr(row, cell) not in known]
        found = stands.against(row)
        problems += [Problem(one.code, path, one.message_zh, one.message_en) for one in found]
        if row.id in ids:
            problems.append(Problem("id_taken", f"{path}/id", "该编号已被使用", "Another row has this id."))
        ids.add(row.id)
        if not found:
            stands.add(row)
    if problems:
        raise InvalidProposalError(problems)
    return [*rows, *proposal.rows]


def keys_of(proposal: Proposal) -> set[str]:
    """The identity keys that the rows to be made name."""
    return {getattr(row, cell) for row in proposal.rows for cell in _KEYS[row.kind]}


def _wrong_with(row: Any, path: str) -> list[Problem]:
    if not isinstance(row, dict):
        return [_shape(path)]
    problems = [_unknown_member(f"{path}/{name}") for name in row if name not in _CELLS]
    problems += [_shape(f"{path}/{name}") for name in ("id", "b") if name in row and not isinstance(row[name], str)]
    kind = row.get("kind")
    if kind not in KINDS_OF_OVERRIDE:
        kinds = ", ".join(KINDS_OF_OVERRIDE)
        return [*problems, Problem("kind", f"{path}/kind", f"应为 {kinds} 之一", f"This should be one of {kinds}.")]
    needed = ("a",) if kind in ("block", "allow") else ("a", "b")
    problems += [_missing(f"{path}/{name}") for name in needed if not _is_text(row.get(name))]
    if "b" not in needed and row.get("b"):
        problems.append(_unknown_member(f"{path}/b"))
    return problems


def _row(row: dict[str, str], name: str) -> OperatorRow:
    kind, cells = row["kind"], {"a": row["a"], "b": row.get("b", "")}
    if kind in _VALUE:
        value = cells[_VALUE[kind]]
        cells[_VALUE[kind]] = phone_e164(value) or value
    return OperatorRow(row.get("id") or name, kind, cells["a"], cells["b"])


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _shape(path: str) -> Problem:
    zh = '格式应为 {"rows": [{"kind", "a", "b"}], "revoke": [编号]}'
    return Problem("wrong_shape", path, zh, 'This should look like {"rows": [{"kind", "a", "b"}], "revoke": [id]}.')


def _unknown_member(path: str) -> Problem:
    return Problem("unknown_member", path, "不支持该字段", "There is no such member here.")


def _missing(path: str) -> Problem:
    return Problem("missing", path, "缺少必填项", "A text is missing here.")


def _no_identity(path: str) -> Problem:
    return Problem("unknown_identity", path, "上次夜间任务中没有该身份", "The last night knew no identity of this key.")


def _no_override(path: str, one: str) -> Problem:
    return Problem("override_unknown", path, f"没有生效中的人工规则 {one}", f"No override {one} is in force.")
