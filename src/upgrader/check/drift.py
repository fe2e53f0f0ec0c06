"""The models against the commands: what one side has and the other has not.

The models are made with `create_all` in an empty database, the commands have made theirs in another; both are
read from the catalogs of the same server, so that both are printed alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from upgrader.check.base import Base
from upgrader.check.catalog.compare import Difference, DifferenceKind, compare_catalogs
from upgrader.check.catalog.objects import Catalog, CatalogObject, ObjectKind
from upgrader.check.catalog.read import read_catalog
from upgrader.check.catalog.sentences import name_object, tell_change
from upgrader.check.models_database import ModelsDatabase, build_models
from upgrader.check.models_place import ModelsPlaces
from upgrader.check.sequence_run import SequenceResult
from upgrader.database.connect import Connector
from upgrader.metadata import load_metadata
from upgrader.model import Finding, Severity, Workspace
from upgrader.settings import Settings

SCHEMA_DRIFT = "schema-drift"

# What SQLAlchemy's metadata cannot describe: it is compared only where events of the metadata make some.
_UNDESCRIBED = frozenset(
    {
        ObjectKind.EXTENSION,
        ObjectKind.COLLATION,
        ObjectKind.FUNCTION,
        ObjectKind.PARTITION,
        ObjectKind.VIEW,
        ObjectKind.MATERIALIZED_VIEW,
        ObjectKind.TRIGGER,
        ObjectKind.POLICY,
        ObjectKind.RULE,
        ObjectKind.STATISTICS,
        ObjectKind.TYPE,
    }
)
_UNDESCRIBED_FACETS = frozenset(
    {"row level security", "forced row level security", "replica identity", "storage", "compression"}
)


@dataclass(frozen=True)
class DriftResult:
    """How models and commands differ.

    Attributes:
        left_out: what was not compared, a sentence each.
    """

    findings: tuple[Finding, ...]
    left_out: tuple[str, ...] = ()


def find_drift(sequence: SequenceResult, *, base: Base, settings: Settings) -> DriftResult:
    """Compare what the models ask for with what the commands have made.

    Only the schemas of the metadata are compared; `workspace_metadata` with the schema of one workspace. Nothing
    is compared where the sequence did not run to its end: what is missing then says nothing.

    Raises:
        SettingsError: the metadata cannot be imported.
    """
    shared, own = load_metadata(settings.metadata), load_metadata(settings.workspace_metadata)
    if not shared and not own:
        return DriftResult((), ("the models were not compared: the settings name no metadata",))
    if not sequence.is_complete:
        return DriftResult((), ("the models were not compared: the commands did not run to their end",))
    sample = sequence.sample if own else None
    left_out = (
        [] if sample or not own else ["the workspaces' models were not compared: there is no workspace"]
    )
    models = build_models(sequence.url, base=base, shared=shared, own=own if sample else (), workspace=sample)
    if models.error is not None:
        return DriftResult((_not_built(models.error),), tuple(left_out))
    comparison = _Comparison(sequence, models, settings, sample)
    places = ModelsPlaces((*shared, *own))
    named = ", ".join((*settings.metadata, *settings.workspace_metadata))
    findings = [_finding(difference, places, named) for difference in comparison.differences()]
    return DriftResult(tuple(findings), (*left_out, *models.left_out))


class _Comparison:
    """Reads both databases and keeps what counts as drift."""

    def __init__(
        self, sequence: SequenceResult, models: ModelsDatabase, settings: Settings, sample: Workspace | None
    ) -> None:
        self._sequence, self._models, self._settings = sequence, models, settings
        own = {sample.schema} if sample and sample.schema else set[str]()
        listing = sequence.workspaces
        others = {workspace.schema for workspace in (*listing.in_scope, *listing.out_of_scope)} - own
        left_out = {settings.history_schema, *others}
        self._schemas = [schema for schema in models.schemas if schema not in left_out]

    def differences(self) -> Iterator[Difference]:
        wanted, there = _read(self._models.url, self._schemas), _read(self._sequence.url, self._schemas)
        described = wanted.kinds()
        for difference in compare_catalogs(wanted, there):
            found = difference.found
            if found.kind is ObjectKind.SCHEMA or _is_excluded(found, self._settings.check.drift_exclude):
                continue
            if found.kind in _UNDESCRIBED and (found.kind not in described or self._is_copied(found)):
                continue
            if difference.facet in _UNDESCRIBED_FACETS and difference.is_unasked:
                continue
            yield difference

    def _is_copied(self, found: CatalogObject) -> bool:
        return found.kind in self._models.copied


def _read(url: str, schemas: Sequence[str]) -> Catalog:
    with Connector(url, "upgrader check").connect() as driver:
        return read_catalog(driver, schemas)


def _is_excluded(found: CatalogObject, patterns: Sequence[str]) -> bool:
    whole = [found.path]
    if found.owner is not None:
        whole.append(f"{found.schema}.{found.owner}")
    return any(fnmatchcase(path, pattern) for path in whole for pattern in patterns)


def _finding(difference: Difference, places: ModelsPlaces, named: str) -> Finding:
    """Say it at the class of its table; where there is none, name what the settings call the models."""
    place = places.of(difference.found)
    return Finding(
        rule=SCHEMA_DRIFT,
        message=_message(difference),
        remedy=_remedy(difference) + ("" if place else f"; the models are {named}"),
        severity=Severity.WARNING if difference.is_unasked else Severity.ERROR,
        file=place.file if place else None,
        line=place.line if place else None,
    )


def _message(difference: Difference) -> str:
    name = name_object(difference.found)
    if difference.kind is DifferenceKind.MISSING:
        return f"the models ask for the {name}, and no command makes it"
    if difference.kind is DifferenceKind.EXTRA:
        return f"the commands make the {name}, and the models do not know it"
    return tell_change(difference, expected="in the models", actual="after the commands")


def _remedy(difference: Difference) -> str:
    if difference.is_unasked:
        return (
            "add it to the models, drop it in a command, or name it in drift_exclude in [tool.upgrader.check]"
        )
    return "write a command that makes it so (upgrader generate --autogenerate writes most), or correct the models"


def _not_built(error: str) -> Finding:
    return Finding(
        rule=SCHEMA_DRIFT,
        message=f"the models cannot be made in an empty database: {error}",
        remedy="correct the models; a function or type that they need is made by a before_create event of the metadata",
    )
