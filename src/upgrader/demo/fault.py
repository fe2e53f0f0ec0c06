"""A workspace that fails on purpose: a slip of the pen in its data, and the statement that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text

from upgrader.demo.cities import City, read_cities
from upgrader.demo.tenants import Tenant

if TYPE_CHECKING:
    from sqlalchemy import Connection

_COUNTRY_ISO = "PT"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in one workspace.

    Attributes:
        workspace_id: the workspace, as history names it.
        description: what is wrong, in one sentence for people.
        repair_sql: one statement, ready for psql, that puts right what was wrong.
    """

    workspace_id: str
    description: str
    repair_sql: str


def plant_fault(connection: Connection) -> Fault:
    """Let a decimal point slip: the largest city of one workspace gets a latitude that no place on Earth has.

    Nothing notices until 1.22.0 puts a constraint on coordinates, which then cannot be added there. Runs in
    the caller's transaction; planting twice is the same as once. Meant for a database that `prepare` made.
    """
    city = _largest_city(_COUNTRY_ISO)
    tenant = Tenant(_COUNTRY_ISO, "")
    slipped = city.latitude * 10
    connection.execute(text(_set_latitude(tenant, city, slipped)))
    return Fault(
        workspace_id=str(tenant.id),
        description=f"{city.name} in {tenant.schema}.city has latitude {slipped}: the point has slipped",
        repair_sql=_set_latitude(tenant, city, city.latitude),
    )


def repair(connection: Connection, fault: Fault) -> None:
    """Run the repair, in the caller's transaction."""
    connection.execute(text(fault.repair_sql))


def _set_latitude(tenant: Tenant, city: City, latitude: Decimal) -> str:
    return f"UPDATE {tenant.schema}.city SET latitude = {latitude} WHERE id = {city.id}"


def _largest_city(country_iso: str) -> City:
    own = (city for city in read_cities() if city.country_iso == country_iso)
    return max(own, key=lambda city: city.population)
