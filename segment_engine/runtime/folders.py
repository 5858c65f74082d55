"""Where state lives below `CDP_DATA_DIR`: names of folders and files, nothing else.

Reading or writing those files belongs to the modules that own them.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataFolders:
    """The folders of one tenant's data directory; none is created here."""

    root: Path

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def sample_mark(self) -> Path:
        return self.root / ".sample"

    @property
    def secret(self) -> Path:
        return self.root / "secret.key"

    @property
    def operational(self) -> Path:
        return self.root / "operational.sqlite"

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def staged(self) -> Path:
        return self.build / "staged"

    @property
    def warehouse(self) -> Path:
        return self.build / "warehouse.duckdb"

    @property
    def marts(self) -> Path:
        return self.build / "serving.duckdb"

    @property
    def ledger_snapshot(self) -> Path:
        return self.build / "ledger.json"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def audiences(self) -> Path:
        return self.root / "audiences"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"
