"""`/v1/clinics`: the chain's clinics, and which of them the platform serves."""

from datetime import date
from typing import Annotated

from fastapi import Path, Response

from api.access.guard import CurrentActor, require_headquarters, requires
from api.access.permissions import Permission
from api.clinics import service
from api.clinics.rules import problems_of_draft
from api.clinics.schemas import Clinic, Clinics, ServiceInput
from api.clock import now
from api.contract import answers
from api.dependencies import CurrentCaller, Reader, Settings, Store
from api.edge.further_rules import further_rules
from api.edge.prefix_router import PrefixRouter
from api.settings import ApiSettings
from api.shapes import Text
from api.storage.clinic_services import clinic_services
from api.versions import IfMatch, etag

router = PrefixRouter(prefix="/v1/clinics", tags=["clinics"])

ClinicId = Annotated[str, Path(), Text(1, 64)]


@router.get("")
@requires(Permission.CUSTOMER_VIEW)
def list_clinics(actor: CurrentActor, reader: Reader, store: Store, settings: Settings) -> Clinics:
    """The clinics at which the caller sees customers, with their CDP service today / 门诊列表.

    `notice` is what pages show while clinics are initialising: a placeholder while none of the chain is ready, else a
    banner. Ended and initialising clinics are left out when tags and segments are recalculated.
    """
    with store.read() as connection:
        services = clinic_services(connection)
    return service.clinics_of(reader, services, actor, _today(settings))


@router.put("/{clinic_id}/service", responses=answers(404, 412, 428))
@requires(Permission.ACCESS_MANAGE)
@further_rules(problems_of_draft)
def write_service(
    clinic_id: ClinicId,
    body: ServiceInput,
    if_match: IfMatch,
    actor: CurrentActor,
    caller: CurrentCaller,
    reader: Reader,
    store: Store,
    settings: Settings,
    response: Response,
) -> Clinic:
    """Say whether a clinic is served, is initialising or has ended, and from when to when / 设置门诊 CDP 服务.

    Only for headquarters. Nothing is recalculated by it: the next recalculation on such a day goes by it.
    """
    require_headquarters(actor, Permission.ACCESS_MANAGE)
    # Found before the store is held: writers wait for nobody's query.
    clinic = service.find_clinic(reader, clinic_id)
    moment, today = now(), _today(settings)
    written = store.write(
        lambda connection: service.set_service(connection, caller, clinic, if_match, body, today=today, now=moment)
    )
    response.headers["ETag"] = etag(written.version)
    return written


def _today(settings: ApiSettings) -> date:
    return now().astimezone(settings.zone).date()
