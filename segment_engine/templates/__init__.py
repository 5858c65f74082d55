"""Templates to start smart tags and smart segments from (智能标签组模板、分群模板), as data: one YAML file per group.

A template is a filter with a name and the reason for it; whoever starts from one may change all of it. The files are
read in `library.py`, what they must look like is said in `reading.py`. What becomes of a template when somebody
chooses it (quotas, versions, owners) is no business of this package. Seed 003 §5.2.4 and §6 name them.
"""

from segment_engine.templates.library import all_templates
from segment_engine.templates.reading import Template, TemplateGroup, TemplateLibrary

__all__ = ["Template", "TemplateGroup", "TemplateLibrary", "all_templates"]
