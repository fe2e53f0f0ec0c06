"""The environment as a source of settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from upgrader.settings.keys import VARIABLE_PREFIX, Given, Key, known_groups, known_keys, nearest_key

COMMON_URL_VARIABLE = "DATABASE_URL"
_SECRET_VARIABLES = ("PGPASSWORD",)
_EMPTY_TEXTS = ('""', "''")


def given_in_environment(environment: Mapping[str, str], directory: Path) -> list[Given]:
    """Give what the environment says, `DATABASE_URL` below `UPGRADER_DATABASE_URL`.

    An empty variable counts as not set. A list is a JSON array, or its entries with commas between them; a
    table is a JSON object.
    """
    given: list[Given] = []
    common = environment.get(COMMON_URL_VARIABLE, "")
    if common.strip():
        given.append(Given("database_url", common, f"from {COMMON_URL_VARIABLE}", directory))
    for key in known_keys().values():
        text = environment.get(key.variable, "")
        if text.strip():
            given.append(Given(key.name, _value(key, text.strip()), f"from {key.variable}", directory))
    return given


def environment_warnings(environment: Mapping[str, str]) -> Iterator[str]:
    """Give a sentence for each variable that was meant for this program and has no effect."""
    by_variable = {key.variable: key for key in known_keys().values()}
    for name in sorted(environment):
        if not name.startswith(VARIABLE_PREFIX):
            continue
        key = by_variable.get(name)
        if key is None:
            yield f"unknown variable {name} is left out" + _meant(name)
        elif key.may_be_empty and not environment[name].strip():
            yield f"{name} is empty and left out; for 'there is no such column' set it to two quotes: '\"\"'"


def environment_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Give the passwords that the environment holds besides the URLs."""
    return tuple(value for name in _SECRET_VARIABLES if (value := environment.get(name)))


def _value(key: Key, text: str) -> object:
    if key.is_list:
        return _list(text)
    if key.is_table:
        return _json(text)
    return "" if key.may_be_empty and text in _EMPTY_TEXTS else text


def _list(text: str) -> object:
    if text.startswith("["):
        return _json(text)
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # the model will say that this is no list, or no table


def _meant(name: str) -> str:
    wanted = name.removeprefix(VARIABLE_PREFIX).lower().replace("__", ".")
    near = nearest_key(wanted)
    if near is None:
        return ""
    if near in known_groups():
        inner = next(key for key in known_keys().values() if key.name.startswith(near + "."))
        return f": its keys are set one by one, for example {inner.variable}"
    return f": did you mean {known_keys()[near].variable}?"
