"""From landing files to published marts: ingest, identity, transform, publish, and their orchestration."""
