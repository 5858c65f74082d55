"""Ways in which the pointer of a data directory can be broken."""

from pathlib import Path

DAMAGED_POINTERS = ["", "{", "[]", "{}", '{"version": "20261120-01", "as_of": "never"}', "null"]


def damage_pointer(data_dir: Path, text: str) -> None:
    """Make `CURRENT` hold `text`."""
    (data_dir / "published").mkdir(parents=True, exist_ok=True)
    (data_dir / "published/CURRENT").write_text(text, encoding="utf-8")
