"""Rows of a source table without the persons that were erased: SQL built from the table's contract. Pure strings.

What is erased and what stays with a pseudonym says the contract (`erasure`, `subjects`, `references`). The SQL needs a
connection that `digests.offer_digests` has prepared.
"""

from collections.abc import Callable, Collection

from pipelines.ingest.contracts import Column, Contract, Person
from pipelines.ingest.normalise import quote_identifier, quote_literal

PSEUDONYM_PREFIX = "erased-"
PLACEHOLDER = "已删除"
# The scope in an identity's key where no column gives it: the tenant has one clinic system and one lead system.
SCOPES = {"patient": "saas", "lead": "leads"}
SINGLE_KINDS = tuple(SCOPES)


def identity_key(person: Person, value: Callable[[str], str] = quote_identifier) -> str:
    """SQL of the identity key that a row's columns make, `<kind>:<scope>:<id>`; null when one of them is."""
    scope = [quote_literal(SCOPES[person.kind])] if person.kind in SCOPES else []
    return " || ':' || ".join([quote_literal(person.kind), *scope, *(value(name) for name in person.columns)])


def pseudonym(digest: str) -> str:
    """SQL of what stands for an erased person's id, made from their digest."""
    return f"'{PSEUDONYM_PREFIX}' || left({digest}, 16)"


def erased_keys(person: Person, relation: str) -> str:
    """The different keys of a person in the relation that belong to somebody erased, with their digest."""
    columns = ", ".join(quote_identifier(name) for name in person.columns)
    digests = f"select {columns}, person_digest({identity_key(person)}) as digest from (select distinct {columns}"
    return f"select {columns}, digest from ({digests} from {relation})) semi join erased_person using (digest)"


def redacted(
    contract: Contract,
    relation: str,
    *,
    columns: Collection[str],
    more: tuple[str, ...] = (),
    typed: Callable[[str], str] = lambda name: name,
    refused: str = "false",
) -> str:
    """A query for the relation's rows as they may be kept: those of the erased left out or under a pseudonym.

    columns: the contract's columns that the relation has, in any types; more: further columns to pass through; typed:
    the column that holds a key column's value as the raw table has it; refused: whether a row was refused, by an
    expression on `source`: such a row is no record of anything and goes when it names an erased person at all.
    """
    persons = contract.persons
    if not persons:
        return f"select {_names([*columns, *more])} from {relation}"
    steps = [f"rows_given as (select * from {relation})"]
    joins = []
    for place, person in enumerate(persons):
        own = Person(person.kind, tuple(typed(name) for name in person.columns))
        steps.append(f"hit_{place} as ({erased_keys(own, 'rows_given')})")
        same = " and ".join(f"source.{quote_identifier(n)} = hit_{place}.{quote_identifier(n)}" for n in own.columns)
        joins.append(f"left join hit_{place} on {same}")
    hits = [f"hit_{place}.digest is not null" for place in range(len(persons))]
    is_subject = " or ".join(hits[: len(contract.subjects)])
    gone = [f"({refused}) and ({' or '.join(hits)})", *([is_subject] if contract.erasure == "erase" else [])]
    values = [_value(contract, contract.column(name), is_subject) for name in columns]
    passed = [f"source.{quote_identifier(name)}" for name in more]
    return (
        f"with {', '.join(steps)} select {', '.join([*values, *passed])} from rows_given as source {' '.join(joins)}"
        f" where not ({' or '.join(f'({reason})' for reason in gone)})"
    )


def _value(contract: Contract, column: Column, is_subject: str) -> str:
    name = quote_identifier(column.name)
    for place, person in enumerate(contract.persons):
        if person.columns == (column.name,):
            digest = f"hit_{place}.digest"
            return f"case when {digest} is null then source.{name}::varchar else {pseudonym(digest)} end as {name}"
    if contract.erasure != "restrict" or not column.is_personal:
        return f"source.{name}"
    if column.required:
        return f"case when {is_subject} then '{PLACEHOLDER}' else source.{name}::varchar end as {name}"
    return f"case when not ({is_subject}) then source.{name} end as {name}"


def _names(names: Collection[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)
