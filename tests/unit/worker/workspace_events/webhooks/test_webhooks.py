"""Webhooks, sent to a real server on loopback."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.receiver import CERTIFICATE, Answer, Receiver, receiving
from upgrader.worker import (
    EventAction,
    Job,
    ObjectMetadata,
    QueueJobOptions,
    RecordEvent,
    WorkspaceEventBatch,
)
from upgrader.worker.workspace_events.batch import UNKNOWN
from upgrader.worker.workspace_events.delivery import (
    DeliverLaterError,
    WorkspaceEventDelivery,
    delivery_payload,
)
from upgrader.worker.workspace_events.subscriber import SubscriptionError
from upgrader.worker.workspace_events.webhooks.addresses import ForbiddenAddressError
from upgrader.worker.workspace_events.webhooks.client import WebhookClient, WebhookError
from upgrader.worker.workspace_events.webhooks.endpoint import WebhookEndpoint
from upgrader.worker.workspace_events.webhooks.signature import is_signed
from upgrader.worker.workspace_events.webhooks.subscriber import Webhooks

SECRET = "0123456789abcdef"
LOOPBACK = ("127.0.0.0/8",)
BATCH: WorkspaceEventBatch[Any] = WorkspaceEventBatch(
    "person.updated",
    "acme",
    ObjectMetadata("person", "person"),
    (RecordEvent(1, {"name": "Ada", "age": UNKNOWN}, {"name": "Größe", "age": UNKNOWN}, ("name",)),),
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on loopback."""
    with receiving() as running:
        yield running


def _endpoint(url: str, **options: Any) -> WebhookEndpoint:
    given = {"name": "crm", "secret": SECRET, "allow_http": True, "allowed_networks": LOOPBACK, **options}
    return WebhookEndpoint(url=url, **given)


def _send(endpoint: WebhookEndpoint, client: WebhookClient | None = None) -> None:
    Webhooks([endpoint], client=client).send(BATCH, endpoint.name)


def test_a_signed_request(receiver: Receiver) -> None:
    """The body is the batch as JSON, signed as it stands; headers tell what it is and which delivery."""
    _send(_endpoint(receiver.url("/hook?x=1"), headers={"Authorization": "Bearer t"}))
    (request,) = receiver.requests
    assert request.path == "/hook?x=1"
    assert json.loads(request.body) == {
        "id": BATCH.id,
        "name": "person.updated",
        "workspace_id": "acme",
        "object": {"name_singular": "person", "table": "person", "schema": None},
        "events": [
            {
                "record_id": 1,
                "before": {"name": "Ada"},
                "after": {"name": "Größe"},
                "updated_fields": ["name"],
            }
        ],
    }
    assert is_signed(SECRET, request.body, request.headers["Upgrader-Signature"])
    assert request.headers["Upgrader-Event"] == f"person.{EventAction.UPDATED}"
    assert request.headers["Upgrader-Delivery"] == BATCH.id
    assert request.headers["Authorization"] == "Bearer t"
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"
    assert request.headers["Host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("größe.created", "gr%C3%B6%C3%9Fe.created"),
        ("заказ.paid", "%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7.paid"),
        ("rate 5%.seen", "rate%205%25.seen"),
    ],
)
def test_names_with_letters_beyond_ascii(receiver: Receiver, name: str, header: str) -> None:
    """Classes and custom events may have such names: the body has them as they are, a header cannot."""
    Webhooks([_endpoint(receiver.url("/hook"))]).send(replace(BATCH, name=name), "crm")
    (request,) = receiver.requests
    assert json.loads(request.body)["name"] == name
    assert request.headers["Upgrader-Event"] == header


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_loopback_is_refused(receiver: Receiver, host: str) -> None:
    """However it is written, nothing is sent there unless it was allowed."""
    with pytest.raises(ForbiddenAddressError, match="is not public"):
        _send(_endpoint(receiver.url(host=host), allowed_networks=()))
    assert receiver.requests == []


def test_a_name_that_resolves_to_a_private_address_is_refused(receiver: Receiver) -> None:
    """What counts is the answer, not the name."""
    client = WebhookClient(resolver=lambda host, port: ["169.254.169.254"])
    with pytest.raises(ForbiddenAddressError, match=r"169\.254\.169\.254 of metadata\.example\.org"):
        _send(_endpoint(receiver.url(host="metadata.example.org"), allowed_networks=()), client)


def test_a_name_is_resolved_once(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the very address that was looked at, so that a second answer is worth nothing."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Iterable[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    called: list[Any] = []

    def create_connection(address: Any, **_: Any) -> socket.socket:
        called.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(WebhookError, match=r"hooks\.example\.org cannot be reached"):
        _send(
            _endpoint(receiver.url(host="hooks.example.org"), allowed_networks=()),
            WebhookClient(resolver=rebinding),
        )
    assert (asked, called) == (["hooks.example.org"], [("93.184.216.34", receiver.port)])


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes through one goes to an address that nobody looked at."""
    with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        _send(_endpoint(receiver.url()))
    assert (len(receiver.requests), proxy.requests) == (1, [])


def test_the_host_header_is_that_of_the_name(receiver: Receiver) -> None:
    """The connection goes to an address, the request to a name."""
    client = WebhookClient(resolver=lambda host, port: ["127.0.0.1"])
    _send(_endpoint(receiver.url(host="hooks.example.org")), client)
    assert receiver.requests[0].headers["Host"] == f"hooks.example.org:{receiver.port}"


def test_a_url_with_letters_beyond_ascii(receiver: Receiver) -> None:
    """It is sent as browsers send it; what is written with percent signs stays so."""
    client = WebhookClient(resolver=lambda host, port: ["127.0.0.1"])
    _send(_endpoint(receiver.url("/hö%20ok?q=日", host="bücher.example")), client)
    assert receiver.requests[0].headers["Host"] == f"xn--bcher-kva.example:{receiver.port}"
    assert receiver.requests[0].path == "/h%C3%B6%20ok?q=%E6%97%A5"


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_that_keep_the_request_are_followed(receiver: Receiver, status: int) -> None:
    """To another path of the same host with all headers, to another host without those of the endpoint."""
    with receiving() as other:
        receiver.answers["/hook"] = Answer(status, {"Location": "/moved"})
        receiver.answers["/moved"] = Answer(status, {"Location": other.url("/elsewhere")})
        _send(_endpoint(receiver.url(), headers={"Authorization": "Bearer t"}))
    assert [request.path for request in receiver.requests] == ["/hook", "/moved"]
    assert all(request.headers["Authorization"] == "Bearer t" for request in receiver.requests)
    (request,) = other.requests
    assert "Authorization" not in request.headers
    assert is_signed(SECRET, request.body, request.headers["Upgrader-Signature"])


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:1/", "http://localhost/", "http://10.0.0.1/", "http://[::1]/", "//169.254.169.254/"],
)
def test_redirects_to_private_addresses_are_refused(receiver: Receiver, location: str) -> None:
    """A redirect is looked at like the URL itself."""
    receiver.answers["/hook"] = Answer(307, {"Location": location})
    resolved = {"public.example.org": "127.0.0.1"}
    client = WebhookClient(
        resolver=lambda host, port: [resolved.get(host, "10.0.0.1" if host == "localhost" else host)]
    )
    endpoint = _endpoint(receiver.url(host="public.example.org"), allowed_networks=("127.0.0.1/32",))
    if location.startswith("http://127.0.0.1"):
        endpoint = replace(endpoint, allowed_networks=("127.0.0.1/32",))
        client = _only_first_is_allowed(receiver)
    with pytest.raises(ForbiddenAddressError, match="is not public"):
        _send(endpoint, client)
    assert len(receiver.requests) == 1


def _only_first_is_allowed(receiver: Receiver) -> WebhookClient:
    """Let the redirect's host resolve to a loopback address that was not allowed."""
    return WebhookClient(resolver=lambda host, port: ["127.0.0.1" if port == receiver.port else "127.0.0.2"])


@pytest.fixture
def secure() -> Iterator[Receiver]:
    """The same with TLS, as `hooks.example.org`."""
    with receiving(tls=True) as running:
        yield running


def _trusting() -> WebhookClient:
    return WebhookClient(
        resolver=lambda host, port: ["127.0.0.1"], tls=ssl.create_default_context(cafile=str(CERTIFICATE))
    )


def _https(receiver: Receiver, host: str = "hooks.example.org") -> str:
    return receiver.url(host=host).replace("http:", "https:")


def test_https(secure: Receiver) -> None:
    """The connection goes to the address that was looked at, the certificate is that of the name."""
    _send(_endpoint(_https(secure), allow_http=False), _trusting())
    assert is_signed(SECRET, secure.requests[0].body, secure.requests[0].headers["Upgrader-Signature"])


def test_certificates_are_looked_at(secure: Receiver) -> None:
    """One of another name is refused, and one that nobody vouches for."""
    with pytest.raises(WebhookError, match=r"other\.example\.org did not answer: SSLCert"):
        _send(_endpoint(_https(secure, "other.example.org")), _trusting())
    with pytest.raises(WebhookError, match="SSLCertVerificationError"):
        _send(_endpoint(_https(secure)), WebhookClient(resolver=lambda host, port: ["127.0.0.1"]))
    assert secure.requests == []


def test_redirects_from_https_to_http_are_refused(secure: Receiver, receiver: Receiver) -> None:
    """What may be sent unencrypted is the endpoint's to say."""
    secure.answers["/hook"] = Answer(307, {"Location": receiver.url()})
    with pytest.raises(WebhookError, match="http:// and not https://"):
        _send(_endpoint(_https(secure), allow_http=False), _trusting())
    assert (len(secure.requests), receiver.requests) == (1, [])


def test_a_server_that_stays_silent_behind_tls(secure: Receiver) -> None:
    """A try ends at its time, encrypted or not."""
    end = threading.Event()
    secure.answers["/hook"] = Answer(before=lambda: end.wait(30))
    with pytest.raises(WebhookError, match="did not answer in time"):
        _send(_endpoint(_https(secure), timeout_seconds=0.4), _trusting())
    end.set()


def test_redirects_that_cannot_be_read(receiver: Receiver) -> None:
    """They are told as what they are."""
    receiver.answers["/hook"] = Answer(307, {"Location": "http://[::1/"})
    with pytest.raises(WebhookError, match=r"webhook crm: .* redirected to cannot be read"):
        _send(_endpoint(receiver.url()))


def test_redirects_in_a_circle_end(receiver: Receiver) -> None:
    """After as many as were allowed."""
    receiver.answers["/hook"] = Answer(308, {"Location": "/hook"})
    with pytest.raises(WebhookError, match="more than 2 redirects"):
        _send(_endpoint(receiver.url(), max_redirects=2))
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 400, 404, 410, 500])
def test_other_answers_fail(receiver: Receiver, status: int) -> None:
    """The error names endpoint, host and status, and nothing of the URL's path."""
    receiver.answers["/token-4711"] = Answer(status, {"Location": "/hook"})
    with pytest.raises(WebhookError, match=rf"^webhook crm: 127\.0\.0\.1 answered {status}$"):
        _send(_endpoint(receiver.url("/token-4711")))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_good_answers(receiver: Receiver, status: int) -> None:
    """All of the 200s are good."""
    receiver.answers["/hook"] = Answer(status)
    _send(_endpoint(receiver.url()))


@pytest.mark.parametrize("body", [b"-5\r\nxx", b"size\r\nxx", b"5\r\nxx"])
def test_a_good_answer_with_a_body_that_cannot_be_read(body: bytes) -> None:
    """It was taken; another try would only send it twice."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as request:
                lines = list(iter(request.readline, b"\r\n"))
                (length,) = [int(line.split()[1]) for line in lines if line.startswith(b"Content-Length:")]
                request.read(length)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

        thread = threading.Thread(target=answer)
        thread.start()
        _send(_endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()


def test_an_endpoint_that_asks_for_a_rest(receiver: Receiver) -> None:
    """`Retry-After` in seconds is respected, and counts as a try."""
    receiver.answers["/hook"] = Answer(429, {"Retry-After": "7"})
    with pytest.raises(DeliverLaterError) as caught:
        _send(_endpoint(receiver.url()))
    assert (caught.value.seconds, caught.value.is_a_try) == (7.0, True)


def test_a_server_that_never_answers(receiver: Receiver) -> None:
    """A try ends at its time."""
    end = threading.Event()
    receiver.answers["/hook"] = Answer(before=lambda: end.wait(30))
    started = time.monotonic()
    with pytest.raises(WebhookError, match="did not answer in time"):
        _send(_endpoint(receiver.url(), timeout_seconds=0.3))
    end.set()
    assert time.monotonic() - started < 25


def test_a_server_that_answers_drop_by_drop() -> None:
    """A byte now and then does not keep a try alive."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        is_over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                try:
                    while not is_over.wait(0.05):
                        connection.sendall(b"H")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(WebhookError, match="did not answer in time"):
            _send(_endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout_seconds=0.4))
        is_over.set()
        thread.join()


def test_a_resolver_that_hangs(receiver: Receiver) -> None:
    """Names have to be resolved in time, too."""
    end = threading.Event()

    def hang(host: str, port: int) -> Iterable[str]:
        end.wait(30)
        return ["127.0.0.1"]

    with pytest.raises(WebhookError, match="was not resolved in time"):
        _send(_endpoint(receiver.url(), timeout_seconds=0.2), WebhookClient(resolver=hang))
    end.set()


def test_nobody_there() -> None:
    """A port that nobody listens on is told as such."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(WebhookError, match=r"webhook crm: 127\.0\.0\.1 cannot be reached"):
        _send(_endpoint(f"http://127.0.0.1:{port}/"))


def test_https_is_spoken_to_the_name(receiver: Receiver) -> None:
    """A server that speaks no TLS is told as such; the request is not sent."""
    endpoint = _endpoint(receiver.url().replace("http:", "https:"), timeout_seconds=2)
    with pytest.raises(WebhookError, match=r"127\.0\.0\.1 did not answer"):
        _send(endpoint)
    assert receiver.requests == []


class _Queue:
    def __init__(self) -> None:
        self.added: list[tuple[Any, QueueJobOptions]] = []

    def add_options(
        self,
        queue: str | None,
        name: str,
        payload: object,
        options: QueueJobOptions,
        *,
        connection: object = None,
    ) -> int:
        self.added.append((payload, options))
        return len(self.added)


def test_a_limit_that_is_reached_is_no_try(receiver: Receiver) -> None:
    """The job is enqueued again for later, with all tries that it had."""
    first = QueueJobOptions(scheduled_at=datetime(2026, 1, 1, tzinfo=UTC))
    hooks = Webhooks([_endpoint(receiver.url(), max_per_second=0.001)], options=first)
    queue = _Queue()
    delivery = WorkspaceEventDelivery(hooks, queue=queue)
    job = Job(
        1, "workspace-events", "workspace-event", delivery_payload("webhooks", BATCH, target="crm"), 2, 5
    )
    delivery.deliver(job)
    delivery.deliver(job)
    assert len(receiver.requests) == 1
    ((payload, options),) = queue.added
    assert payload == job.data
    assert options.attempts == 4
    assert options.delay > 900  # type: ignore[operator] # seconds here
    assert options.scheduled_at is None  # a job has one of the two


def test_a_limit_that_is_reached_by_the_only_endpoint(receiver: Receiver) -> None:
    """With one endpoint there is no job of its own: its limit is no try all the same."""
    hooks = Webhooks([_endpoint(receiver.url(), max_per_second=0.001)])
    queue = _Queue()
    delivery = WorkspaceEventDelivery(hooks, queue=queue)
    job = Job(1, "workspace-events", "workspace-event", delivery_payload("webhooks", BATCH), 2, 5)
    delivery.deliver(job)
    delivery.deliver(job)
    assert len(receiver.requests) == 1
    ((payload, options),) = queue.added
    assert payload["target"] == "crm"
    assert options.attempts == 4


def test_the_limit_of_an_endpoint_is_that_of_all_workspaces(receiver: Receiver) -> None:
    """An endpoint that every workspace's events go to is not sent more of them the more workspaces there are."""
    hooks = Webhooks([_endpoint(receiver.url(), max_per_second=0.001)])
    hooks.send(BATCH, "crm")
    with pytest.raises(DeliverLaterError):
        hooks.send(replace(BATCH, workspace_id="globex"), "crm")


def test_endpoints_of_workspaces_have_limits_of_their_own(receiver: Receiver) -> None:
    """Under one name each workspace may have another server."""
    hooks = Webhooks(lambda batch: [_endpoint(receiver.url(f"/{batch.workspace_id}"), max_per_second=0.001)])
    hooks.send(BATCH, "crm")
    hooks.send(replace(BATCH, workspace_id="globex"), "crm")
    assert [request.path for request in receiver.requests] == ["/acme", "/globex"]


def test_asked_for_a_rest_at_the_last_try(receiver: Receiver) -> None:
    """A server that asks for rests for ever is not asked for ever."""
    receiver.answers["/hook"] = Answer(503, {"Retry-After": "1"})
    delivery = WorkspaceEventDelivery(Webhooks([_endpoint(receiver.url())]), queue=_Queue())
    data = delivery_payload("webhooks", BATCH, target="crm")
    with pytest.raises(DeliverLaterError):
        delivery.deliver(Job(1, "workspace-events", "workspace-event", data, 3, 3))


def test_each_endpoint_has_a_job_of_its_own(receiver: Receiver) -> None:
    """Only those that want the event; neither URLs nor secrets stand in the queue."""
    wants = _endpoint(receiver.url("/secret-path"))
    endpoints = [
        wants,
        replace(wants, name="second", patterns=("*.updated",)),
        replace(wants, name="other", patterns=("company.*",)),
    ]
    queue = _Queue()
    delivery = WorkspaceEventDelivery(
        Webhooks(lambda batch: endpoints if batch.workspace_id == "acme" else []), queue=queue
    )
    delivery.deliver(Job(1, "workspace-events", "workspace-event", delivery_payload("webhooks", BATCH), 1, 5))
    assert [payload["target"] for payload, _ in queue.added] == ["crm", "second"]
    assert len({options.id for _, options in queue.added}) == 2
    text = json.dumps([payload for payload, _ in queue.added])
    assert SECRET not in text
    assert "secret-path" not in text
    for payload, options in queue.added:
        delivery.deliver(Job(2, "workspace-events", "workspace-event", payload, 1, options.attempts))
    assert len(receiver.requests) == 2


def test_two_senders_with_endpoints_of_the_same_names(receiver: Receiver) -> None:
    """Their jobs wait beside each other: the id under which one waits is that of its sender, too."""
    endpoints = [_endpoint(receiver.url("/a")), _endpoint(receiver.url("/b"), name="billing")]
    queue = _Queue()
    delivery = WorkspaceEventDelivery(
        Webhooks(endpoints, name="one"), Webhooks(endpoints, name="two"), queue=queue
    )
    for sender in ("one", "two"):
        payload = delivery_payload(sender, BATCH)
        delivery.deliver(Job(1, "workspace-events", "workspace-event", payload, 1, 5))
    assert len({options.id for _, options in queue.added}) == 4


def test_an_endpoint_that_is_gone(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A batch for it is left out, and that is logged."""
    Webhooks([_endpoint(receiver.url())]).send(BATCH, "gone")
    assert receiver.requests == []
    assert "no webhook is called gone any more" in caplog.text


def test_nothing_secret_is_shown(receiver: Receiver) -> None:
    """Neither secret nor URL nor headers stand in an endpoint's text."""
    text = repr(_endpoint(receiver.url("/token"), headers={"Authorization": "Bearer t"}))
    assert all(part not in text for part in (SECRET, "token", "Bearer"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "http://example.org/", "allow_http": False}, "http:// and not https://"),
        ({"url": "ftp://example.org/"}, "none of the web"),
        ({"url": "https:///path"}, "none of the web"),
        ({"url": "https://user:hush@example.org/"}, "a user or a password"),
        ({"url": "https://example.org:99999/"}, "cannot be read"),
        ({"url": "https://example.org/\r\nX: y"}, "characters that no URL has"),
        ({"secret": "short"}, "shorter than 16"),
        ({"patterns": ("a..b",)}, "patterns"),
        ({"timeout_seconds": 0}, "limits"),
        ({"max_per_second": 0}, "max_per_second"),
        ({"timeout_seconds": float("inf")}, "limits"),
        ({"max_per_second": float("nan")}, "max_per_second"),
        ({"headers": {"Upgrader-Signature": "x"}}, "is set by the webhook itself"),
        ({"headers": {"upgrader-delivery": "x"}}, "is set by the webhook itself"),
        ({"headers": {"Authorization": "hush\n"}}, "characters that no header has"),
        ({"headers": {"X Token": "hush"}}, "characters that no header has"),
        ({"headers": {"X-Token": "hush日"}}, "characters that no header has"),
        ({"allowed_networks": ("10.0.0.1/8",)}, "allowed_networks"),
        ({"name": ""}, "no name"),
    ],
)
def test_endpoints_that_cannot_be_used(options: dict[str, Any], told: str) -> None:
    """They are refused when they are made, and the error shows nothing secret."""
    given = {"url": "https://example.org/", **options}
    with pytest.raises(SubscriptionError, match=told) as caught:
        _endpoint(**given)
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"


def test_two_endpoints_of_one_name_are_refused() -> None:
    """Their jobs could not be told apart; a function that gives such is found out when it is asked."""
    one = _endpoint("https://example.org/")
    with pytest.raises(SubscriptionError, match="two webhooks are called crm"):
        Webhooks([one, one])
    with pytest.raises(SubscriptionError, match="two webhooks are called crm"):
        Webhooks(lambda _: [one, one]).targets(BATCH)
