"""What the working files hold: for which day and inputs they were built, and how far. One small file below `build/`.

Computing the inputs' fingerprint and deciding which step needs what belongs to `pipelines.steps`.
"""

import json
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from pathlib import Path

from segment_engine.runtime.folders import DataFolders


class Stage(IntEnum):
    """How far a night has come; each stage needs the one before it, of the same day and inputs."""

    BEGUN = 0
    INPUTS = 1
    IDENTITY = 2
    CHECKED = 3
    ENGINE = 4
    AUDIENCES = 5


@dataclass(frozen=True, slots=True)
class Built:
    """The stage reached for one business day from the inputs that `fingerprint` stands for."""

    as_of: date
    fingerprint: str
    stage: Stage


def read_built(folders: DataFolders) -> Built | None:
    """What is built; None when nothing is, or nobody can tell."""
    try:
        fields = json.loads(_file(folders).read_text(encoding="utf-8"))
        return Built(date.fromisoformat(fields["as_of"]), fields["fingerprint"], Stage[fields["stage"]])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def write_built(folders: DataFolders, built: Built) -> None:
    """Replace what is said to be built in one move; needs the writer lock."""
    fields = {"as_of": built.as_of.isoformat(), "fingerprint": built.fingerprint, "stage": built.stage.name}
    hidden = _file(folders).with_suffix(".tmp")
    hidden.write_text(json.dumps(fields), encoding="utf-8")
    hidden.replace(_file(folders))


def forget_built(folders: DataFolders) -> None:
    """Say that nothing is built; needs the writer lock."""
    _file(folders).unlink(missing_ok=True)


def _file(folders: DataFolders) -> Path:
    return folders.build / "built.json"
