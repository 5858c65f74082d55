"""What one caller sees of customers: which ones, whose personal fields, and which filters and sorts that allows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.access.actors import Actor
from api.access.erased import without_erased
from api.access.masking import MASKS, permission_for, permissions_for
from api.access.permissions import LABELS, Permission
from api.access.scope import customer_scope
from api.customers.phones import phone_forms, plain_phone_sql
from api.customers.repository import FLAGS, Conditions, Granted
from api.customers.schemas import CustomerFilter, CustomerQuery, Sort
from api.errors import InvalidError, NotPermittedError
from segment_engine.problems import Problem

# The filters on personal fields.
PERSONAL = ("phone", "id_number", "name", "nickname")


@dataclass(frozen=True, slots=True)
class Sight:
    """The customers whom a caller may view, and those whose own names and phones it may see."""

    actor: Actor
    erased: Sequence[str]
    permission: Permission = Permission.CUSTOMER_VIEW

    def conditions(self) -> Conditions:
        """Who is seen at all."""
        conditions = Conditions()
        conditions.add(*customer_scope(self.actor.reaches(self.permission)))
        conditions.add(*without_erased(self.erased))
        return conditions

    def granted(self) -> tuple[Granted, ...]:
        """For every permission over personal fields, of whom."""
        permissions = sorted({permission for permission, _ in MASKS.values()})
        return tuple(self._granted(permission) for permission in permissions)

    def granted_names(self) -> Granted:
        """Of whom names are seen, those of the staff who look after them included."""
        return self._granted(Permission.CUSTOMER_NAME_VIEW)

    def filtered(self, query: CustomerFilter, place: str) -> Conditions:
        """Who is seen and asked for; raises as `asked_for`."""
        conditions = self.conditions()
        conditions.extend(self.asked_for(query, place))
        return conditions

    def asked_for(self, query: CustomerFilter, place: str) -> Conditions:
        """Who is asked for; raises NotPermittedError for fields that the caller sees masked, InvalidError.

        `place` is where the filter stands in the request: `/query`, `/filter`.
        A filter on a personal field finds only customers whose own value the caller may see: else it would tell it.
        """
        self._require_raw(query, place)
        conditions = Conditions()
        if query.clinic_id is not None:
            conditions.add("(clinic_id = $clinic_id)", {"clinic_id": query.clinic_id})
        if query.channel is not None:
            conditions.add(FLAGS[query.channel])
        if query.phone is not None:
            forms = phone_forms(query.phone)
            if forms is None:
                raise InvalidError(
                    Problem("not_a_phone", f"{place}/phone", "不是有效的电话号码", "This is no phone number.")
                )
            self._add(conditions, "phone", f"list_contains($phone::varchar[], {plain_phone_sql('phone')})", phone=forms)
        if query.id_number is not None:
            self._add(conditions, "id_number", "upper(id_number) = upper($id_number)", id_number=query.id_number)
        if query.name is not None:
            self._add(conditions, "name", "starts_with(name, $name)", name=query.name)
        if query.nickname is not None:
            self._add(conditions, "nickname", "contains(nickname, $nickname)", nickname=query.nickname)
        return conditions

    def showing(self, permissions: Iterable[Permission], path: str) -> Conditions:
        """Who is seen with what these permissions open; no condition at all where that is everybody.

        Raises NotPermittedError for permissions that reach nobody; `path` is the place of what they guard.
        """
        needed = sorted(permissions)
        if problems := [_masked(path, permission) for permission in needed if not self.actor.reaches(permission)]:
            raise NotPermittedError(*problems)
        conditions = Conditions()
        for permission in (self.permission, *needed):
            if not self.actor.reaches_everybody(permission):
                granted = self._granted(permission)
                conditions.add(granted.predicate, granted.values)
        if self.erased:
            conditions.add(*without_erased(self.erased))
        return conditions

    def sort_value(self, sort: Sort) -> str:
        """What is sorted by; a masked name counts as none, or its place would tell it."""
        permission = permission_for(sort)
        return str(sort) if permission is None else f"case when {self._granted(permission).column} then {sort} end"

    def shown_value(self, column: str) -> Conditions:
        """When a column's own value is shown: no condition at all for one that is never masked."""
        conditions = Conditions()
        for permission in sorted(permissions_for(column)):
            granted = self._granted(permission)
            conditions.add(granted.predicate, granted.values)
        return conditions

    def require_shown(self, column: str, path: str) -> None:
        """Raise NotPermittedError for a column that the caller sees masked of everybody."""
        missing = [one for one in sorted(permissions_for(column)) if not self.actor.reaches(one)]
        if missing:
            raise NotPermittedError(*(_masked(path, permission) for permission in missing))

    def _granted(self, permission: Permission) -> Granted:
        predicate, values = customer_scope(self.actor.reaches(permission), prefix=permission.replace(".", "_"))
        return Granted(permission, predicate, values)

    def _add(self, conditions: Conditions, field: str, predicate: str, **values: object) -> None:
        permission = permission_for(field)
        assert permission is not None, "only personal fields are filtered by here"
        granted = self._granted(permission)
        conditions.add(f"({predicate} and {granted.predicate})", {**values, **granted.values})

    def _require_raw(self, query: CustomerFilter, place: str) -> None:
        used = {name: name for name in PERSONAL if getattr(query, name) is not None}
        if isinstance(query, CustomerQuery):
            used["sort"] = query.sort.value
        problems = [
            _masked(f"{place}/{path}", permission)
            for path, field in used.items()
            if (permission := permission_for(field)) is not None and not self.actor.reaches(permission)
        ]
        if problems:
            raise NotPermittedError(*problems)


def _masked(path: str, permission: Permission) -> Problem:
    zh, en = LABELS[permission]
    return Problem(
        "masked_field",
        path,
        f"该字段对您脱敏,不能用于筛选、排序或取候选值(需要权限:{zh})",
        f"You see this field masked, so you cannot filter, sort or list values by it; that needs `{permission}`: {en}.",
    )
