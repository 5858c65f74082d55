"""A run between nights: what arrived today is loaded, resolved and published while the day goes on.

It is the day's own night, early: identity takes it back and resolves what changed since yesterday (decision 0009), so
the night that ends the day finds nothing else than if there had been no refresh. Ids that were published meanwhile, and
are nobody's in the end, lead to the customers their records belong to.
"""

from datetime import datetime, timedelta

from pipelines.clock import Clock
from pipelines.nightly import Progress, RunRecord, run_night
from pipelines.settings import PipelineSettings
from pipelines.steps import BusinessDayError
from pipelines.warehouse.publish import current_pointer


def check_refresh(settings: PipelineSettings, now: datetime) -> None:
    """Refuse to refresh before yesterday's night is published: raises BusinessDayError.

    A refresh would stand for it, and no version would ever show how yesterday ended.
    """
    yesterday = now.astimezone(settings.zone).date() - timedelta(days=1)
    served = current_pointer(settings.folders)
    if served is None or served.as_of < yesterday:
        last = "none / 无" if served is None else served.as_of
        raise BusinessDayError(
            f"yesterday's night is not published (last: {last}); run `cdp nightly --as-of {yesterday}` first / "
            f"昨天的夜间任务尚未发布(最近:{last}),请先运行 `cdp nightly --as-of {yesterday}`"
        )


def refresh(settings: PipelineSettings, *, clock: Clock, progress: Progress | None = None) -> RunRecord:
    """Load, resolve and publish what arrived until now, as the tenant's today; raises as `run_night`, BusinessDayError.

    Where nothing arrived since the last run, nothing is published and the record says `unchanged`.
    """
    now = clock.now()
    check_refresh(settings, now)
    return run_night(settings, as_of=now.astimezone(settings.zone).date(), clock=clock, progress=progress)
