"""The thin API: published data read-only, small writes to the operational store. Never imports `pipelines`."""
