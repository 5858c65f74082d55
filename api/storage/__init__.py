"""The operational store: where small writes go. Tables, the engine, the one way to write, and migrations.

Everything the pipeline may know of the API lives here. What the rows mean belongs to the domains.
"""
