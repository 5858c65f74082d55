"""The child process that reads tables: what it dies of is a refusal, and it gets nothing of ours."""

import tempfile
from pathlib import Path

import pytest

from api.errors import InvalidError
from api.uploads import reader
from api.uploads.reader import read_upload
from tests.api.uploads.tables import bomb, corner_to_corner, xlsx

HEADINGS = {"id": ("客户编号",)}


def read(content: bytes) -> list[tuple[int, str]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return read_upload(file, HEADINGS).values


def test_a_table_is_read_by_the_child() -> None:
    assert read(xlsx(("客户编号",), ("C1",))) == [(2, "C1")]


@pytest.mark.parametrize(
    "content", [corner_to_corner(), bomb(100), b"PK\x03\x04" * 1000], ids=["corner to corner", "bomb", "no zip"]
)
def test_a_table_that_would_take_all_there_is_is_refused_in_both_languages(content: bytes) -> None:
    with pytest.raises(InvalidError) as refused:
        read(content)

    (problem,) = refused.value.problems
    assert problem.path == "/body"
    assert problem.message_zh and problem.message_en
    assert problem.code in ("not_a_table", "too_many_rows", "no_known_column")


def test_a_table_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST_SECONDS", 0.001)

    with pytest.raises(InvalidError) as refused:
        read("客户编号\nC1\n".encode())

    assert [problem.code for problem in refused.value.problems] == ["not_a_table"]


def test_the_environment_of_ours_does_not_reach_the_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python starts with what `sitecustomize` says, where PYTHONPATH named one: ours names only this project."""
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert read("客户编号\nC1\n".encode()) == [(2, "C1")]
