"""What the filter routes answer: how many, why, in which words; cut to the customers whom the caller sees.

A count is exact, however small: the caller could page through the very customers it counts. What a count could tell
beyond them is not asked: fields that the caller sees masked cannot be named, and of fields that it sees of some
customers only, those alone are counted.
"""

from dataclasses import asdict

from api.customers.asking import Asker
from api.customers.repository import customers_by_key, one_customer
from api.customers.service import NO_CUSTOMER, permissions_on, shown
from api.errors import InvalidError, NotFoundError
from api.filters.evaluator import FILTER, FilterEvaluator, Session
from api.filters.explained import told, told_node
from api.filters.personal import classes_with
from api.filters.refusals import told_at
from api.filters.schemas import (
    BranchCount,
    ConversionAnswer,
    ConversionRequest,
    DependsOn,
    DescriptionAnswer,
    ExplainRequest,
    Explanation,
    FilterRequest,
    PreviewAnswer,
    PreviewRequest,
    Warned,
)
from segment_engine.catalog import Catalog
from segment_engine.checked import CheckedGroup
from segment_engine.depends import depends_on
from segment_engine.describe import describe
from segment_engine.fingerprint import fingerprint
from segment_engine.interchange import from_react_querybuilder, to_react_querybuilder
from segment_engine.lint import lint
from segment_engine.normalize import normalize
from segment_engine.problems import InvalidFilterError, Problem
from segment_engine.runtime.explain import NotACustomerThenError, Telling
from segment_engine.runtime.limited import Budget
from segment_engine.runtime.preview import Preview, Sight
from segment_engine.runtime.version import asking_for

NO_CUSTOMER_THERE = Problem("customer_unknown", "/one_id", NO_CUSTOMER.message_zh, NO_CUSTOMER.message_en)


def preview_answer(filters: FilterEvaluator, asker: Asker, request: PreviewRequest, budget: Budget) -> PreviewAnswer:
    """Count, sample and funnel; raises InvalidError, NotPermittedError."""
    with filters.session(budget, request.as_of) as session:
        checked = asker.checked(session, request.filter)
        sight = Sight(asker.scope(session, checked), asker.known.names, asker.labels(session))
        return _previewed(session, asker, session.preview(checked, sight, sample=request.sample))


def explain_answer(filters: FilterEvaluator, asker: Asker, request: ExplainRequest, budget: Budget) -> Explanation:
    """Why one customer is in, or is not; raises NotFoundError for one whom the caller does not see.

    The caller may name the fields that it sees of this customer, and no others: the truth of a rule would tell them.
    """
    with filters.session(budget, request.as_of) as session:
        granted = asker.sight.granted()
        row = one_customer(session.cursor, asker.sight.conditions(), granted, one_id=request.one_id)
        if row is None:
            raise NotFoundError(NO_CUSTOMER_THERE)
        classes = classes_with(permissions_on(row, granted))
        checked = session.checked(request.filter, classes, asker.known)
        telling = Telling(
            asking_for(session.opened, permissions=classes), asker.known.names, asker.labels(session)
        )  # fmt: skip
        try:
            found = session.explain(checked, row["customer_key"], telling)
        except NotACustomerThenError as error:
            raise NotFoundError(told_at(error.problem, "/as_of")) from None
    return Explanation(
        version=session.pointer.version,
        as_of=found.as_of.date(),
        one_id=row["one_id"],
        holds=found.holds,
        root=told_node(found.root),
    )


def description_answer(
    filters: FilterEvaluator, asker: Asker, request: FilterRequest, budget: Budget
) -> DescriptionAnswer:
    """A filter in words, and what is odd about it; raises InvalidError, NotPermittedError."""
    with filters.session(budget, request.as_of) as session:
        checked = asker.checked(session, request.filter)
        as_of = session.opened.as_of
        warnings = session.within_budget(lambda: lint(checked, as_of))
        return DescriptionAnswer(
            version=session.pointer.version,
            as_of=as_of.date(),
            sentence=told(describe(checked, asker.known.names, as_of, labels=asker.labels(session))),
            warnings=[Warned.model_validate(asdict(told_at(one, FILTER))) for one in warnings],
            fingerprint=fingerprint(normalize(checked)),
            depends_on=_depends_on(checked),
        )


def conversion_answer(catalog: Catalog, request: ConversionRequest) -> ConversionAnswer:
    """The same filter in the other form; raises InvalidError with everything that cannot be told in it."""
    convert = to_react_querybuilder if request.to == "react-querybuilder" else from_react_querybuilder
    try:
        return ConversionAnswer(document=convert(request.document, catalog))
    except InvalidFilterError as error:
        raise InvalidError(*(told_at(problem, "/document") for problem in error.problems)) from None


def _previewed(session: Session, asker: Asker, found: Preview) -> PreviewAnswer:
    granted = asker.sight.granted()
    return PreviewAnswer(
        version=session.pointer.version,
        as_of=session.opened.as_of.date(),
        count=found.count,
        customers=[shown(row, granted) for row in customers_by_key(session.cursor, granted, found.sample)],
        branches=[
            BranchCount(path=f"{FILTER}{one.path}", sentence=told(one.sentence), count=one.count)
            for one in found.branches
        ],
        seconds=round(found.seconds, 4),
        remembered=found.remembered,
    )


def _depends_on(checked: CheckedGroup) -> DependsOn:
    named = depends_on(checked)
    return DependsOn(
        fields=sorted(named.fields),
        sources=sorted(named.sources),
        tags=sorted(named.tags),
        segments=sorted(named.segments),
    )
