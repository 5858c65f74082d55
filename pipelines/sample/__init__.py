"""A believable dental chain as landing files, for trying things out and for tests; `generate.write_sample` makes it."""
