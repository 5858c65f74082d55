"""Filter JSON in; SQL, sentence and explanation out.

Pure, except for `segment_engine.runtime`, and in `segment_engine.cases` for reading case files and writing their worlds.
"""
