"""Filters as react-querybuilder (v8) writes and edits them: its JSON in and out, and the catalogue as its fields.

What is the same in both languages has the editor's own form, so that a stock editor can edit it; what the editor does
not know stands where it leaves things alone: in `meta`, and in values of fields that begin with `rule:`. Every valid
filter comes back as it went. Whether a filter means anything is not asked here but in `parse.py` and `validate.py`.
Source: the types and `formatQuery` of github.com/react-querybuilder/react-querybuilder, packages/core.
"""

from segment_engine.interchange.fields import fields_of
from segment_engine.interchange.reading import from_react_querybuilder
from segment_engine.interchange.writing import to_react_querybuilder

__all__ = ["fields_of", "from_react_querybuilder", "to_react_querybuilder"]
