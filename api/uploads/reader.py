"""Our end of the child that reads tables: started for one table, waited for, killed when it takes too long."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import api
from api.errors import InvalidError
from api.uploads.columns import MAX_ROWS, Column
from segment_engine.problems import Problem

LONGEST_SECONDS = 90.0
# So many tables are read at once by one process of ours; others wait.
_TURNS = threading.BoundedSemaphore(2)
# What Python needs to start, and none of our settings or secrets.
_PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONHOME", "LD_LIBRARY_PATH")

_REFUSALS: Mapping[str, tuple[str, str]] = {
    "not_a_table": (
        "文件无法读取:应为 .xlsx,或 UTF-8、UTF-16、GB18030 编码的 .csv",
        "The file cannot be read: send .xlsx, or .csv in UTF-8, UTF-16 or GB18030.",
    ),
    "empty_table": ("文件中没有内容", "The file is empty."),
    "too_many_rows": (f"超过 {MAX_ROWS:,} 行,请拆分后再导入", f"More than {MAX_ROWS:,} rows; send them in parts."),
}


def read_upload(file: BinaryIO, headings: Mapping[str, Sequence[str]]) -> Column:
    """The column of a table that was sent, found by its heading; raises InvalidError for what cannot be read."""
    with _TURNS:
        answer = _asked(file, headings)
    if answer is None:
        raise InvalidError(_refusal("not_a_table", headings))
    if "refused" in answer:
        raise InvalidError(_refusal(answer["refused"], headings))
    return Column(answer["name"], [(line, value) for line, value in answer["values"]])


def _asked(file: BinaryIO, headings: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """What the child answers; None when it died of the table or took too long."""
    environment = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    environment |= {"PYTHONPATH": str(Path(api.__file__).resolve().parent.parent), "PYTHONUTF8": "1"}
    try:
        child = subprocess.run(  # noqa: S603 -- our own module, headings come from code
            [sys.executable, "-m", "api.uploads.child", json.dumps(headings)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_SECONDS,
            env=environment,
            check=False,
        )
        answer = json.loads(child.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(code: str, headings: Mapping[str, Sequence[str]]) -> Problem:
    if code == "no_known_column":
        known = [spelling for spellings in headings.values() for spelling in spellings]
        told = (
            f"第一行应有以下列名之一:{'、'.join(known)}",
            f"The first row needs one of these headings: {', '.join(known)}.",
        )
        return Problem(code, "/body", *told)
    return Problem(code, "/body", *_REFUSALS[code])
