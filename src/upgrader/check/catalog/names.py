"""Which names the server made up: they say nothing about what somebody wanted."""

from __future__ import annotations

import re

from upgrader.check.catalog.objects import CatalogObject, ObjectKind

# PostgreSQL names what has no name after its table, its columns and one of these (ChooseConstraintName).
_LABELS = {
    ObjectKind.CONSTRAINT: "pkey|key|fkey|check|excl",
    ObjectKind.DOMAIN_CONSTRAINT: "check",
    ObjectKind.INDEX: "idx",
}
_LONGEST_NAME = 63
_KEPT_WHEN_CUT = 20


def is_generated_name(found: CatalogObject) -> bool:
    """Tell whether an object is called as the server calls one without a name.

    Somebody may have chosen just that name: then only the name itself is not compared.
    """
    labels = _LABELS.get(found.kind)
    if labels is None or found.owner is None:
        return False
    match = re.fullmatch(rf"(.+)_(?:{labels})\d*", found.name)
    if match is None:
        return False
    if match[1] == found.owner or match[1].startswith(f"{found.owner}_"):
        return True
    # A name that would be too long is made of the beginnings of the table's and the columns'.
    is_cut = len(found.name.encode()) >= _LONGEST_NAME - 2
    return is_cut and found.name.startswith(found.owner[:_KEPT_WHEN_CUT])
