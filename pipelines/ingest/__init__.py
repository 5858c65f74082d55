"""Landed files and their contracts: checking, parsing and normalising. Storing the rows is `pipelines.warehouse`."""
