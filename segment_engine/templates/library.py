"""The templates that come with the product, read from the files beside this one.

What a file must look like belongs to `reading.py`.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from segment_engine.templates.reading import TemplateLibrary, read_library


@cache
def all_templates() -> TemplateLibrary:
    """Every template: tag groups in the order of the product's help, and segments; filters are not to be changed."""
    here = files("segment_engine.templates")
    groups = sorted((one for one in (here / "tags").iterdir() if one.name.endswith(".yml")), key=_name)
    return read_library(
        [one.read_text(encoding="utf-8") for one in groups], (here / "segments.yml").read_text(encoding="utf-8")
    )


def _name(file: Traversable) -> str:
    return file.name
