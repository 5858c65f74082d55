"""Ways in which a data directory or an installation can be broken."""

from pathlib import Path

from pipelines.ingest.contracts import InvalidContract

DAMAGED_POINTERS = ["", "{", "[]", "{}", '{"version": "20261120-01", "as_of": "never"}', "null"]


def damage_pointer(data_dir: Path, text: str) -> None:
    """Make `CURRENT` hold `text`."""
    (data_dir / "published").mkdir(parents=True, exist_ok=True)
    (data_dir / "published/CURRENT").write_text(text, encoding="utf-8")


def broken_contract() -> None:
    """Reading the contracts, where one of them is wrong."""
    raise InvalidContract("saas/patients.yml", ["no key"])
