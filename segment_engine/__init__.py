"""Filter JSON in; SQL, sentence and explanation out.

Pure, except for `segment_engine.runtime`, and for `segment_engine.cases` where it reads files and writes worlds.
"""
