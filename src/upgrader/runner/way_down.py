"""What a downgrade would take back, read without a lock."""

from __future__ import annotations

from dataclasses import dataclass

from upgrader.database.failures import translating
from upgrader.history.steps_back import StepsBack
from upgrader.runner.database_access import DatabaseAccess
from upgrader.runner.options import DowngradeOptions, down_options
from upgrader.sequence.down_plan import DownPlan
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.way_down import make_way_down
from upgrader.survey import Survey, take_survey


@dataclass(frozen=True)
class WayDownReport:
    """A plan of the way down with what it was made from.

    Attributes:
        is_continued: an unfinished downgrade by the same number of steps would be gone on with.
    """

    plan: DownPlan
    survey: Survey
    database: str
    app_version: str
    is_continued: bool = False


def plan_way_down(access: DatabaseAccess, sequence: StepSequence, options: DowngradeOptions) -> WayDownReport:
    """Say what `downgrade` would take back; writes nothing, takes no lock."""
    names = None
    with translating(), access.reading() as reading:
        survey = take_survey(session=reading.session, store=reading.store, source=access.source)
        if options.steps is not None:
            schema = access.run_settings.schema
            names = StepsBack(reading.session.driver, schema).unfinished(options.steps)
    wanted = down_options(options, access.run_settings, names=names)
    return WayDownReport(
        plan=make_way_down(sequence, survey.state, wanted),
        survey=survey,
        database=reading.description,
        app_version=access.app_version.text,
        is_continued=names is not None,
    )
