"""Where webhooks are sent to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from upgrader.worker.workspace_events.pattern import is_pattern, matches
from upgrader.worker.workspace_events.subscriber import SubscriptionError
from upgrader.worker.workspace_events.webhooks.addresses import Network, parse_networks
from upgrader.worker.workspace_events.webhooks.signature import SIGNATURE_HEADER

_OWN_HEADERS = {
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "upgrader-delivery",
    "upgrader-event",
    "user-agent",
    SIGNATURE_HEADER.lower(),
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_LONGEST_TIMEOUT_SECONDS = 86_400.0


@dataclass(frozen=True)
class WebhookEndpoint:
    """A server that is sent workspace events.

    Attributes:
        name: its own, stable: jobs that wait are found again by it.
        url: `https://…`; without user and password.
        secret: its requests are signed with it; shown nowhere.
        patterns: of the events that it is sent.
        headers: more headers of its requests.
        timeout_seconds: for one try, from the connection to the end of the answer.
        max_concurrency: so many requests at a time, from all workers of a queue together.
        max_per_second: so many requests a second, from all of them; None: as fast as they come.
        max_redirects: so often a 307 or 308 is followed, each after the same look at its address.
        allowed_networks: networks that may be called although they are not public: `("10.1.0.0/16",)`.
        allow_http: whether `http://` is good enough.
    """

    name: str
    url: str = field(repr=False)  # many carry a token in their path
    secret: str = field(repr=False)
    patterns: tuple[str, ...] = ("**",)
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    timeout_seconds: float = 10.0
    max_concurrency: int = 4
    max_per_second: float | None = None
    max_redirects: int = 3
    allowed_networks: tuple[str, ...] = ()
    allow_http: bool = False

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem is not None:
            raise SubscriptionError(
                f"the webhook {self.name!r} cannot be used: {problem[0]}", hint=problem[1]
            )

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that are allowed."""
        return parse_networks(self.allowed_networks)

    def wants(self, name: str) -> bool:
        """Tell whether it is sent events of this name."""
        return any(matches(pattern, name) for pattern in self.patterns)

    def _problem(self) -> tuple[str, str] | None:
        if not self.name or not self.name.isprintable():
            return "it has no name", "give each endpoint a short name of its own"
        if len(self.secret) < 16:
            return (
                "its secret is shorter than 16 characters",
                "make one: python -c 'import secrets; print(secrets.token_hex(32))'",
            )
        if not all(map(is_pattern, self.patterns)):
            return "one of its patterns is none", 'write names of events: "person.created", "*.created", "**"'
        is_in_time = 0 < self.timeout_seconds <= _LONGEST_TIMEOUT_SECONDS  # no number is not, either
        if not is_in_time or self.max_concurrency < 1 or self.max_redirects < 0:
            return "one of its limits is none", "timeout_seconds and max_concurrency are positive"
        if self.max_per_second is not None and not self.max_per_second > 0:
            return "max_per_second is not positive", "leave it out for no limit"
        for name, value in self.headers.items():
            if name.lower() in _OWN_HEADERS:
                return f"the header {name} is set by the webhook itself", "leave it out"
            # A value may be a secret, and what is sent would say it in its error.
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(str(value)):
                return (
                    f"the header {name!r} has characters that no header has",
                    "a line break at the end of what was read from a file, for example: strip() it",
                )
        try:
            parse_networks(self.allowed_networks)
        except ValueError as error:
            return f"allowed_networks: {error}", 'write networks: "10.1.0.0/16"'
        try:
            check_url(self.url, allow_http=self.allow_http)
        except ValueError as error:
            return str(error), "give a whole URL: https://example.org/hooks/upgrader"
        return None


def check_url(url: str, *, allow_http: bool) -> SplitResult:
    """Take a URL apart.

    Raises:
        ValueError: it is no URL of the web, or one that webhooks do not take; the message shows nothing of it.
    """
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("its URL has characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("its URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("its URL is none of the web")
    if parts.scheme == "http" and not allow_http:
        raise ValueError("its URL is http:// and not https:// (allow_http=True takes it all the same)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("its URL has a user or a password in it; use `headers` for what it needs")
    return parts
