"""Comments that silence squawk, and those that silence nothing."""

from __future__ import annotations

from tests.unit.lint.builders import lint, step, told

DROP = "alter table core.invoice drop column number"


def test_ignored():
    """A comment in the statement silences its rule, before it or behind it, and is no finding."""
    assert told(step(f"-- squawk-ignore ban-drop-column\n{DROP}")) == []
    assert told(step(f"{DROP} -- squawk-ignore ban-drop-column")) == []
    assert told(step(f"/* squawk-ignore ban-drop-column */\n{DROP}")) == []
    assert told(step("select 1 -- squawk-ignore-file ban-drop-column", DROP)) == []


def test_ignores_one_statement_only():
    """The next statement is looked at."""
    assert told(step(f"{DROP} -- squawk-ignore ban-drop-column", DROP)) == [(20, "ban-drop-column")]


def test_unused():
    """A comment that silences nothing is a finding at its own line."""
    assert told(step(DROP, "-- squawk-ignore ban-drop-column\nselect 1")) == [
        (10, "ban-drop-column"),
        (20, "unused-ignore"),
    ]


def test_unused_beside_a_used_one():
    """Each rule that a comment names is looked at by itself, and each comment, too."""
    both = f"-- squawk-ignore ban-drop-column, ban-drop-table\n{DROP}"
    (finding,) = lint(step(both, f"-- squawk-ignore ban-drop-column\n{DROP}"))
    assert (finding.line, finding.rule) == (10, "unused-ignore")
    assert finding.message == "squawk-ignore ban-drop-table: there is nothing to ignore"


def test_unknown_rule():
    """A comment with a rule that squawk does not know says so, once."""
    (finding,) = lint(step("-- squawk-ignore ban-drop-colum\nselect 1"))
    assert finding.rule == "unused-ignore"
    assert finding.message == "squawk-ignore ban-drop-colum: squawk knows no such rule"


def test_reason():
    """A reason may follow behind two dashes; without them squawk takes it for a part of the name."""
    assert told(step(f"-- squawk-ignore ban-drop-column -- nobody reads it any more\n{DROP}")) == []
    findings = lint(step(f"-- squawk-ignore ban-drop-column, unread\n{DROP}"))
    assert [one.message for one in findings] == ["squawk-ignore unread: squawk knows no such rule"]
    findings = lint(step(f"-- squawk-ignore ban-drop-column nobody reads it\n{DROP}"))
    assert [one.rule for one in findings] == ["ban-drop-column", "unused-ignore"]
    assert findings[1].message.endswith("ban-drop-column nobody reads it: squawk knows no such rule")


def test_in_a_string():
    """What stands in a string is no comment."""
    assert told(step("select '-- squawk-ignore ban-drop-column'")) == []


def test_rule_that_the_runner_takes_care_of():
    """Ignoring it is not unused: squawk alone would say something there."""
    assert told(step("-- squawk-ignore require-lock-timeout\nalter table t add column a text")) == []


def test_excluded():
    """A rule that is off is neither found nor worth a comment; the check of comments may be off, too."""
    ignored = f"-- squawk-ignore ban-drop-column\n{DROP}"
    assert told(step(DROP), exclude=("ban-drop-column",)) == []
    assert told(step(ignored), exclude=("ban-drop-column",)) == [(10, "unused-ignore")]
    assert told(step(ignored), exclude=("ban-drop-column", "unused-ignore")) == []
