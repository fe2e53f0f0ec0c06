"""`embedded:PATH`, the address of an embedded server, and the name that it goes by."""

from __future__ import annotations

from pathlib import Path

from upgrader.errors import EmbeddedServerError

_SCHEME = "embedded:"

CLUSTER_NAME = "upgrader-embedded"
"""What `SHOW cluster_name` answers on an embedded server, and on no other."""


def is_embedded_url(url: str) -> bool:
    """Tell whether `url` names an embedded server, with a path or (by mistake) without."""
    return url.startswith(_SCHEME)


def embedded_path(url: str) -> Path:
    """Give the data directory of `embedded:PATH` as it is written: a relative one stays relative.

    Raises:
        EmbeddedServerError: there is no path, or `url` is no embedded address.
    """
    if not is_embedded_url(url):
        raise EmbeddedServerError("this is not the address of an embedded server", hint="write embedded:PATH")
    path = url.removeprefix(_SCHEME)
    if not path.strip():
        raise EmbeddedServerError(
            "the address of the embedded server names no directory", hint="write embedded:PATH"
        )
    return Path(path)
