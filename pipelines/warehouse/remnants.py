"""Where else an erased person may be told: files of refused batches, which nobody parses, and the records of runs."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from pipelines.warehouse.landing import LandedBatch
from segment_engine.runtime.folders import DataFolders

ENCODINGS = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
TEXT_FORMATS = {"csv", "jsonl"}
REMOVED = "removed with an erased person's data / 已随个人信息一并删除"


def remove_refused_files(batches: Iterable[LandedBatch], texts: Collection[str]) -> list[Path]:
    """Remove the data files of refused batches that hold one of the texts; returns them.

    What is no text cannot be searched without trusting it, so it goes as well. Nothing of it was loaded, and the batch
    stays refused until its source sends another.
    """
    needles = {text.encode(encoding) for text in texts for encoding in ENCODINGS}
    found = [
        file
        for batch in batches
        for file in sorted(batch.folder.iterdir())
        if file != batch.folder / "_manifest.json" and _may_tell(file, needles)
    ]
    for file in found:
        file.unlink()
    return found


def forget_errors(folders: DataFolders, texts: Collection[str]) -> None:
    """Empty the error of every run record that quotes one of the texts."""
    for file in folders.runs.glob("*.json"):
        content = file.read_text(encoding="utf-8", errors="replace")
        if not any(text in content for text in texts):
            continue
        hidden = file.with_suffix(".tmp")
        hidden.write_text(json.dumps({**json.loads(content), "error": REMOVED}, ensure_ascii=False, indent=1), "utf-8")
        hidden.replace(file)


def _may_tell(file: Path, needles: Collection[bytes]) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    if file.suffix.lower().lstrip(".") not in TEXT_FORMATS:
        return True
    content = file.read_bytes()
    return any(needle in content for needle in needles)
