"""The one place that wires the parts: what the CLI, the worker and applications call."""

from __future__ import annotations

from upgrader.api.authoring import Authoring
from upgrader.api.backfilling import Backfilling
from upgrader.api.looking import Looking, PlanReport
from upgrader.api.marking import Marking
from upgrader.api.pruning import PruneReport, Pruning
from upgrader.api.running import Running
from upgrader.api.taking_part import TakingPart
from upgrader.runner.way_down import WayDownReport

__all__ = ["PlanReport", "PruneReport", "Upgrader", "WayDownReport"]


class Upgrader(Running, TakingPart, Marking, Looking, Backfilling, Pruning, Authoring):
    """The product as a Python object: one database, one set of commands."""
