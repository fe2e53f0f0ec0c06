"""One request of a webhook: to an address that was looked at, within a time, redirects looked at again."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import string
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import SplitResult, quote, urljoin

from upgrader.errors import UpgraderError
from upgrader.worker.workspace_events.webhooks.addresses import (
    Network,
    Resolver,
    checked_addresses,
    resolve,
)
from upgrader.worker.workspace_events.webhooks.endpoint import check_url

_FOLLOWED = (307, 308)  # the others let a POST become a GET
_LONGEST_ANSWER_BYTES = 4096
_PORTS = {"http": 80, "https": 443}


class WebhookError(UpgraderError):
    """A webhook was not taken."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        """Take what was wrong, and when the receiver wants to be asked again, if it said so."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class WebhookClient:
    """Sends requests. Has no state; any thread may use it.

    Attributes:
        resolver: gives the addresses of a host.
        tls: the certificates that are trusted; by default the system's.
    """

    resolver: Resolver = resolve
    tls: ssl.SSLContext | None = None

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        private_headers: Mapping[str, str] = MappingProxyType({}),
        max_redirects: int = 3,
        allowed: tuple[Network, ...] = (),
        allow_http: bool = False,
    ) -> int:
        """Send a request and give the status of a good answer (200 to 299).

        Args:
            timeout_seconds: for all of it: names, redirects and slow answers included.
            private_headers: sent to the URL's own host alone, not where it redirects to.

        Raises:
            ForbiddenAddressError: it, or a redirect of it, leads to an address that may not be called.
            WebhookError: there was no answer in time, or another one. Messages name the host, never path or query.
        """
        deadline = time.monotonic() + timeout_seconds
        first = _origin(_parsed(url, allow_http=allow_http))
        for _ in range(max_redirects + 1):
            parts = _parsed(url, allow_http=allow_http)
            addresses = self._addresses(parts, allowed, deadline)
            sent = {**private_headers, **headers} if _origin(parts) == first else headers
            with self._connected(parts, addresses, deadline) as connection:
                answer = _exchange(connection, parts, body, sent)
            if answer.status not in _FOLLOWED:
                return _judged(answer, parts)
            if answer.location is None:
                raise WebhookError(f"{parts.hostname} answered {answer.status} and does not say where to go")
            url = _redirected(url, answer.location)
        raise WebhookError(f"{parts.hostname} answered with more than {max_redirects} redirects")

    def _addresses(
        self, parts: SplitResult, allowed: tuple[Network, ...], deadline: float
    ) -> tuple[str, ...]:
        """Give the addresses of a host. A resolver knows no time limit, so it is left behind at the deadline."""
        host, port = str(parts.hostname), _port(parts)
        found: Future[tuple[str, ...]] = Future()

        def look() -> None:
            try:
                found.set_result(checked_addresses(host, port, allowed=allowed, resolver=self.resolver))
            except BaseException as error:  # it is raised where it is waited for
                found.set_exception(error)

        threading.Thread(target=look, name="upgrader webhook names", daemon=True).start()
        try:
            return found.result(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise WebhookError(f"the name {host} was not resolved in time") from error

    @contextmanager
    def _connected(
        self, parts: SplitResult, addresses: tuple[str, ...], deadline: float
    ) -> Iterator[http.client.HTTPConnection]:
        """Connect to one of these very addresses; whatever is still going on at the deadline is cut off."""
        host = str(parts.hostname)
        connection = http.client.HTTPConnection(host, _port(parts))
        plain = _connect(host, addresses, _port(parts), deadline)
        used = [plain]
        watch = threading.Timer(max(0.0, deadline - time.monotonic()), _cut_off, [used])
        watch.daemon = True
        watch.start()
        try:
            if parts.scheme == "https":
                context = self.tls or ssl.create_default_context()
                # The certificate is that of the name, whatever the address.
                secure = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
                used.append(secure)
                secure.do_handshake()
            connection.sock = used[-1]
            yield connection
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise WebhookError(f"{host} did not answer in time") from error
            raise WebhookError(f"{host} did not answer: {type(error).__name__}: {_told(error)}") from error
        finally:
            watch.cancel()
            connection.close()
            used[-1].close()


@dataclass(frozen=True)
class _Answer:
    status: int
    location: str | None
    retry_after: str | None


def _connect(host: str, addresses: tuple[str, ...], port: int, deadline: float) -> socket.socket:
    trouble: OSError | None = None
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            trouble = error
    if trouble is None or isinstance(trouble, TimeoutError):
        raise WebhookError(f"{host} did not answer in time")
    raise WebhookError(f"{host} cannot be reached: {_told(trouble)}") from trouble


def _cut_off(used: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(used[-1], socket.SHUT_RDWR)  # below TLS, which would wait for the other side


def _exchange(
    connection: http.client.HTTPConnection, parts: SplitResult, body: bytes, headers: Mapping[str, str]
) -> _Answer:
    default = _port(parts) == _PORTS[parts.scheme]
    host = str(parts.hostname)
    shown = f"[{host}]" if ":" in host else host
    shown = shown if shown.isascii() else shown.encode("idna").decode()
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=string.punctuation)
    connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", shown if default else f"{shown}:{_port(parts)}")
    connection.putheader("Content-Length", str(len(body)))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Connection", "close")
    connection.endheaders(body)
    response = connection.getresponse()
    # What it says is of no use to us; a server may finish saying it, if it is short. What is no body at all (a chunk
    # of a negative size is a ValueError) takes nothing back: sent again, the batch would be taken twice.
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        response.read(_LONGEST_ANSWER_BYTES)
    return _Answer(response.status, response.getheader("Location"), response.getheader("Retry-After"))


def _judged(answer: _Answer, parts: SplitResult) -> int:
    if 200 <= answer.status < 300:
        return answer.status
    wait = answer.retry_after
    seconds = (
        float(wait) if wait is not None and wait.isascii() and wait.isdigit() and len(wait) < 7 else None
    )
    raise WebhookError(f"{parts.hostname} answered {answer.status}", retry_after_seconds=seconds)


def _parsed(url: str, *, allow_http: bool) -> SplitResult:
    try:
        return check_url(url, allow_http=allow_http)
    except ValueError as error:
        raise WebhookError(f"a webhook cannot be sent: {error}") from error


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise WebhookError(
            "a webhook cannot be sent: the URL that it is redirected to cannot be read"
        ) from error


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return (parts.scheme, parts.hostname, _port(parts))


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _told(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
