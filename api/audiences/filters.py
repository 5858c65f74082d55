"""Filters of tags and segments as one caller may write and read them, by the catalogue of the served version.

Who may ask about what is `api.access.masking`'s, the language `segment_engine`'s. What tags and segments a filter may
name is `references`' business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any, Final
from zoneinfo import ZoneInfo

from api.access.actors import Actor
from api.access.masking import authored_classes, visible_classes
from api.audiences.rule_schemas import RuleShown, SentenceShown
from api.catalogue.options import labels_of
from api.jobs.schemas import ProblemShown
from api.storage.audience_rules import Named, memberships
from segment_engine.catalog import Catalog
from segment_engine.checked import CheckedGroup
from segment_engine.compile import check
from segment_engine.describe import describe
from segment_engine.document import FilterLimits
from segment_engine.lint import lint
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.runtime.catalogs import DamagedCatalogError, PublishedCatalogs
from segment_engine.runtime.published import DamagedPointerError, NothingPublishedError, PublishedReader
from segment_engine.runtime.version import end_of
from segment_engine.sentences import AudienceNames, OptionLabels, Sentence
from segment_engine.tree import AudienceKind
from segment_engine.validate import Asking

LIMITS: Final = FilterLimits()
NOT_PERMITTED: Final = "field_not_permitted"
_NOTHING_TO_READ_BY = (NothingPublishedError, DamagedPointerError, DamagedCatalogError)


@dataclass(frozen=True, slots=True)
class _Opened:
    catalog: Catalog
    labels: OptionLabels
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Read:
    """A stored filter as the caller may read it: what it means, or what is wrong with it, or that it is hidden."""

    checked: CheckedGroup | None
    problems: tuple[Problem, ...] = ()

    @property
    def is_hidden(self) -> bool:
        """Whether it compares a field that the caller sees masked."""
        return any(problem.code == NOT_PERMITTED for problem in self.problems)


class Filters:
    """The filters of one request; the published version is looked at when the first is asked about."""

    def __init__(self, reader: PublishedReader, catalogs: PublishedCatalogs, actor: Actor, zone: ZoneInfo) -> None:
        self._reader = reader
        self._catalogs = catalogs
        self._actor = actor
        self._zone = zone

    def checked(self, document: Any, known: Mapping[int, Named]) -> CheckedGroup:
        """What a rule that the caller wrote means; it names only fields seen of everybody whom the caller views.

        Raises InvalidFilterError with everything wrong, NothingPublishedError, DamagedCatalogError.
        """
        return check(document, self._opened.catalog, _asking(authored_classes(self._actor), known), LIMITS)

    def faults(self, document: Any, known: Mapping[int, Named]) -> tuple[Problem, ...]:
        """What is wrong with a stored filter, whoever asks."""
        try:
            check(document, self._opened.catalog, _asking(self._opened.catalog.permissions, known), LIMITS)
        except InvalidFilterError as wrong:
            return wrong.problems
        return ()

    def warnings(self, document: Any) -> list[ProblemShown]:
        """What is odd about a filter; nothing where it cannot be used at all. Takes long for many conditions."""
        try:
            opened = self._opened
            asking = Asking(visible_classes(self._actor), *_named_in(document))
            found = lint(check(document, opened.catalog, asking, LIMITS), opened.as_of)
        except (InvalidFilterError, *_NOTHING_TO_READ_BY):
            return []
        return [shown_problem(problem) for problem in found]

    def read(self, document: Any, known: Mapping[int, Named]) -> Read:
        """A stored filter; what was deleted since is still called by its name."""
        try:
            asking = _asking(visible_classes(self._actor), known, with_deleted=True)
            return Read(check(document, self._opened.catalog, asking, LIMITS))
        except InvalidFilterError as wrong:
            return Read(None, wrong.problems)

    def sentence(self, checked: CheckedGroup, known: Mapping[int, Named]) -> Sentence:
        """A filter in words; no days are counted, since it holds every day anew."""
        return describe(checked, names_of(known), None, labels=self._opened.labels)

    def told(self, document: Any, known: Mapping[int, Named]) -> RuleShown:
        """A stored filter with everything about it but its warnings. Nothing is told while nothing is published."""
        try:
            read = self.read(document, known)
        except _NOTHING_TO_READ_BY:
            return _HIDDEN
        if read.is_hidden:
            return _HIDDEN
        sentence = None if read.checked is None else shown_sentence(self.sentence(read.checked, known))
        problems = [shown_problem(problem) for problem in read.problems]
        return RuleShown(filter=document, sentence=sentence, is_hidden=False, problems=problems, warnings=[])

    @property
    def labels(self) -> OptionLabels:
        """Labels of options, as the caller is told them."""
        return self._opened.labels

    @cached_property
    def _opened(self) -> _Opened:
        with self._reader.cursor() as (cursor, pointer):
            catalog = self._catalogs.of(pointer)
            sources = (source.fields.values() for source in catalog.sources.values())
            fields = chain(catalog.attributes.values(), *sources)
            named = [field.options_from for field in fields if field.options_from is not None]
            return _Opened(catalog, labels_of(cursor, named, self._actor), end_of(pointer.as_of, self._zone))


def names_of(known: Mapping[int, Named]) -> AudienceNames:
    """What sentences call tags and segments."""
    return {(named.kind, named.id): named.name for named in known.values()}


def shown_problem(problem: Problem) -> ProblemShown:
    """A problem in an answer."""
    return ProblemShown.model_validate(problem, from_attributes=True)


def shown_sentence(sentence: Sentence) -> SentenceShown:
    """A sentence in an answer."""
    return SentenceShown(zh=sentence.zh, en=sentence.en)


def _asking(classes: frozenset[str], known: Mapping[int, Named], *, with_deleted: bool = False) -> Asking:
    def ids(kind: AudienceKind) -> frozenset[int]:
        there = (one for one in known.values() if with_deleted or not one.is_deleted)
        return frozenset(one.id for one in there if one.kind is kind)

    return Asking(classes, ids(AudienceKind.TAG), ids(AudienceKind.SEGMENT))


def _named_in(document: Any) -> tuple[frozenset[int], frozenset[int]]:
    """The tags and the segments that a filter names, whether or not they exist."""
    rules = list(memberships(document))
    tags, segments = (
        frozenset(one for rule in rules if rule.kind is kind for one in rule.ids)
        for kind in (AudienceKind.TAG, AudienceKind.SEGMENT)
    )
    return tags, segments


_HIDDEN: Final = RuleShown(filter=None, sentence=None, is_hidden=True, problems=[], warnings=[])
