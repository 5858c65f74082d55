"""What the pipeline asks its parser process and what that answers, with their JSON forms."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pipelines.ingest.contracts import Contract, contract_from_mapping, contract_to_mapping
from pipelines.ingest.manifest import Encoding, FileFormat, Window
from pipelines.ingest.problems import Problem


@dataclass(frozen=True, slots=True)
class SandboxRules:
    """What the parser may touch and use: the folder it reads below, the one it writes below, zone and memory."""

    readable: Path
    writable: Path
    timezone: str
    memory_limit: str


@dataclass(frozen=True, slots=True)
class ParseRequest:
    """Parse one file into `staged` (Parquet) and its refused rows into `rejects` (Parquet).

    The staged file has the contract's columns in raw types, then `_batch_id` VARCHAR, `_bad` BOOLEAN and `_row` BIGINT:
    the row's place in the file, null unless `numbered` (larger is later). With `spelled` the rows of the staged file
    are written there too, as the file spells them: the contract's columns that it has, and `_row`.
    """

    contract: Contract
    batch_id: str
    file: Path
    format: FileFormat
    encoding: Encoding | None
    window: Window
    staged: Path
    rejects: Path
    rules: SandboxRules
    threads: int
    numbered: bool
    spelled: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "contract": contract_to_mapping(self.contract),
            "file": str(self.file),
            "window": [self.window.start.isoformat(), self.window.end.isoformat()],
            "staged": str(self.staged),
            "rejects": str(self.rejects),
            "spelled": str(self.spelled) if self.spelled else None,
            "rules": {name: str(rule) for name, rule in asdict(self.rules).items()},
        }

    @staticmethod
    def from_json(document: dict[str, Any]) -> "ParseRequest":
        return ParseRequest(
            **{
                **document,
                "contract": contract_from_mapping(document["contract"], name="request"),
                "file": Path(document["file"]),
                "window": Window(*(datetime.fromisoformat(moment) for moment in document["window"])),
                "staged": Path(document["staged"]),
                "rejects": Path(document["rejects"]),
                "spelled": Path(document["spelled"]) if document["spelled"] else None,
                "rules": SandboxRules(
                    readable=Path(document["rules"]["readable"]),
                    writable=Path(document["rules"]["writable"]),
                    timezone=document["rules"]["timezone"],
                    memory_limit=document["rules"]["memory_limit"],
                ),
            }
        )


@dataclass(frozen=True, slots=True)
class ParseReply:
    """What became of a file; with a problem the counts are 0 and nothing may be loaded from it.

    `rejected` counts rows; the rejects file has a row per bad value: line, position, column_name, code, value, row.
    """

    good: int = 0
    rejected: int = 0
    has_rejects: bool = False
    numbered: bool = False
    unknown_columns: tuple[str, ...] = ()
    guessed_encoding: Encoding | None = None
    problem: Problem | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(document: dict[str, Any]) -> "ParseReply":
        problem = document["problem"]
        return ParseReply(
            good=int(document["good"]),
            rejected=int(document["rejected"]),
            has_rejects=bool(document["has_rejects"]),
            numbered=bool(document["numbered"]),
            unknown_columns=tuple(str(name) for name in document["unknown_columns"]),
            guessed_encoding=cast(Encoding | None, document["guessed_encoding"]),
            problem=Problem(**{key: str(value) for key, value in problem.items()}) if problem else None,
        )


class Refused(Exception):  # noqa: N818 -- an answer, not an accident
    """The file as a whole cannot be taken; carries the problem to tell."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message_en)
        self.problem = problem
