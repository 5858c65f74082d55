"""Tags and segments (标签, 分群) over the API."""
