from __future__ import annotations

import pytest

from upgrader.errors import OperatorError
from upgrader.generate.slug import Slug


@pytest.mark.parametrize(
    ("name", "slug", "class_name"),
    [
        ("add-x", "add_x", "AddX"),
        ("Add invoice.workspace_id", "add_invoice_workspace_id", "AddInvoiceWorkspaceId"),
        ("AddInvoiceColumn", "add_invoice_column", "AddInvoiceColumn"),
        ("addHTTPLogs", "add_http_logs", "AddHttpLogs"),
        ("  drop--it!  ", "drop_it", "DropIt"),
        ("x", "x", "X"),
        ("step2", "step2", "Step2"),
        ("Größe-ändern", "grosse_andern", "GrosseAndern"),
        ("café", "cafe", "Cafe"),
        ("match", "match", "Match"),
        ("a" * 80, "a" * 80, "A" + "a" * 79),
    ],
)
def test_names_in_any_style(name: str, slug: str, class_name: str):
    """Hyphens, spaces, humps and accents all lead to one file name and one class name."""
    found = Slug.of(name)
    assert (found.text, found.class_name) == (slug, class_name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "no letters"),
        ("---", "no letters"),
        ("../..", "no letters"),
        ("1st-step", "begins with a digit"),
        ("class", "word of the Python language"),
        ("none", "word of the Python language"),
        ("True", "word of the Python language"),
        ("日本", "should not have"),
        ("добавить", "should not have"),
        ("a" * 81, "81 characters long"),
        ("connection", "would hide Connection"),
        ("workspace-context", "would hide WorkspaceContext"),
        ("exception", "would hide Exception"),
    ],
)
def test_names_that_are_refused(name: str, says: str):
    """What gives no usable identifier is refused, with an example of what does."""
    with pytest.raises(OperatorError) as caught:
        Slug.of(name)
    assert says in caught.value.message
    assert "--name add-" in (caught.value.hint or "")


def test_a_path_in_a_name_leads_nowhere_else():
    """Slashes and dots are gaps between words, so a name cannot leave its folder."""
    assert Slug.of("../../etc/passwd").text == "etc_passwd"
