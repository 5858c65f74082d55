"""What routes are handed: settings and the reader of published versions."""

from typing import Annotated

from fastapi import Depends, Request

from api.settings import ApiSettings
from segment_engine.runtime.published import PublishedReader


def api_settings(request: Request) -> ApiSettings:
    """The settings the application was made with."""
    settings: ApiSettings = request.app.state.settings
    return settings


def published_reader(request: Request) -> PublishedReader:
    """The process-wide reader of published versions."""
    reader: PublishedReader = request.app.state.reader
    return reader


Settings = Annotated[ApiSettings, Depends(api_settings)]
Reader = Annotated[PublishedReader, Depends(published_reader)]
