"""Filter JSON in; SQL, sentence and explanation out. Pure, except for `segment_engine.runtime`."""
