"""A batch that somebody drops into landing by hand, not yet sealed."""

from pathlib import Path

from pipelines.settings import PipelineSettings


def clinics_by_hand(settings: PipelineSettings) -> Path:
    """The folder of a batch with one clinic, HAND, that no sample knows."""
    folder = settings.folders.landing / "saas/clinics/by-hand"
    folder.mkdir(parents=True)
    (folder / "clinics.csv").write_text(
        "clinic_id,clinic_name,is_headquarters,clinic_type,cdp_status,updated_at\n"
        "HAND,手工门诊,否,直营,已开通,2026-11-20 10:00:00\n",
        encoding="utf-8",
    )
    return folder
