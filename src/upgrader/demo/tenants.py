"""Which tenants the demo has: one for each country with cities, named after its ISO code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_DNS, UUID, uuid5

_NAMESPACE = uuid5(NAMESPACE_DNS, "geonames.org")
_FOUNDED = datetime(2019, 1, 1, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A row of `core.workspace`; everything but the name follows from the ISO code."""

    country_iso: str
    display_name: str

    @property
    def id(self) -> UUID:
        """The id, the same on every machine."""
        return uuid5(_NAMESPACE, self.country_iso)

    @property
    def schema(self) -> str:
        """The schema of its own, `workspace_de`."""
        return f"workspace_{self.country_iso.lower()}"

    @property
    def status(self) -> str:
        """Most are ACTIVE, some SUSPENDED, a few INACTIVE: as the dice fall, but always alike."""
        match self.id.int % 30:
            case 0:
                return "INACTIVE"
            case 1 | 2:
                return "SUSPENDED"
            case _:
                return "ACTIVE"

    @property
    def created_at(self) -> datetime:
        """Some day in the first five years of the invented product."""
        return _FOUNDED + timedelta(days=self.id.int % 1826)
