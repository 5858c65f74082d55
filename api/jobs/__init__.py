"""Long work as rows: asked for by a request, done by a worker of any API process, followed by polling or by events."""
