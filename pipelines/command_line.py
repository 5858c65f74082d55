"""What commands of the pipeline find out before they start: the settings, and which business day is meant."""

from datetime import date

from pipelines.clock import SystemClock, last_full_day
from pipelines.settings import PipelineSettings
from segment_engine.runtime.terminal import fail, read_settings


def pipeline_settings() -> PipelineSettings:
    """The pipeline's settings; ends the command where they cannot be used."""
    return read_settings(PipelineSettings)


def business_day(text: str | None, settings: PipelineSettings) -> date:
    """The day an option names, else yesterday; ends the command for a text that is no date."""
    if text is None:
        return last_full_day(SystemClock(settings.zone).now(), settings.zone)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Other spellings of ISO 8601 are a slip more often than meant.
    if day is None or day.isoformat() != text:
        fail(f"{text!r} is not a date like 2026-11-20 / 日期格式应为 2026-11-20", code=2)
    return day
