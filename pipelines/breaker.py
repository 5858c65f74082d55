"""The circuit breaker: which failed checks of a night an operator who has looked may let pass, for one run.

What the checks ask stands in `dbt_project/tests/identity/`, what each promises and advises in `_checks.yml` beside it;
that an accepted one only warns, in the macro `duckdb__get_test_sql`.
"""

from collections.abc import Iterable

ACCEPTABLE = (
    "identity_customer_too_large",
    "identity_moves_too_many",
    "identity_source_shrank",
    "no_customer_holds_two_patient_names",
)
# Those that compare with an earlier version (macro `breaker_base`): accepted, they compare with what was accepted.
COMPARING = frozenset({"identity_moves_too_many", "identity_source_shrank"})


class UnknownCheckError(ValueError):
    """No check of such a name may be accepted; the message lists those that may."""


def accepted_checks(names: Iterable[str]) -> tuple[str, ...]:
    """The named checks, each once, sorted; raises UnknownCheckError that tells every unknown name."""
    wanted = sorted(set(names))
    unknown = [name for name in wanted if name not in ACCEPTABLE]
    if unknown:
        listed, known = ", ".join(map(repr, unknown)), ", ".join(ACCEPTABLE)
        raise UnknownCheckError(
            f"no check that may be accepted is called {listed}; there are {known} / "
            f"没有可放行的检查 {listed},可选:{known}"
        )
    return tuple(wanted)
