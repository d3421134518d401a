"""Destinations by HTTP, against receivers that refuse what the real ones refuse."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from airflow_provider_imperva.errors import ConfigurationError, DestinationRefusedError, DestinationUnavailableError
from airflow_provider_imperva.forward.address import Address
from airflow_provider_imperva.forward.destination import DestinationOptions
from airflow_provider_imperva.forward.link import RetryPolicy
from airflow_provider_imperva.forward.send import Forwarding
from airflow_provider_imperva.testing import forge_events, forge_log
from airflow_provider_imperva.testing.siem import (
    BulkReceiver,
    GelfReceiver,
    HecReceiver,
    HttpReceiver,
    SiemAnswer,
    SumoReceiver,
)
from tests.forward.conftest import Certificates
from tests.forward.sending import forwarding, ids_of, lines_of, send_all
from tests.load.load_runs import Account

Load = Callable[..., None]
TOKEN = "11111111-2222-3333-4444-555555555555"
API_KEY = "ApiKey a2V5"


@pytest.fixture
def listen() -> Iterator[Callable[[HttpReceiver], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


def to(account: Account, receiver: HttpReceiver, *, attempts: int = 4, **options: Any) -> Forwarding:
    token = "a2V5" if options["transport"] == "bulk" else TOKEN
    address = Address(host="127.0.0.1", port=receiver.port, password=token, plain=True, read_timeout=5)
    waited: list[float] = []
    sending = forwarding(
        account,
        DestinationOptions(**options),
        address=address,
        retry_policy=RetryPolicy(attempts=attempts, sleep=waited.append),
    )
    receiver.waited = waited  # type: ignore[attr-defined]
    return sending


def receivers() -> dict[str, tuple[Callable[..., HttpReceiver], dict[str, Any]]]:
    return {
        "hec": (lambda **more: HecReceiver(TOKEN, **more), {"transport": "hec"}),
        "hec acknowledged": (
            lambda **more: HecReceiver(TOKEN, acknowledges=True, **more),
            {"transport": "hec", "acknowledge": True},
        ),
        "hec raw": (lambda **more: HecReceiver(TOKEN, **more), {"transport": "hec", "raw_endpoint": True}),
        "sumo": (lambda **more: SumoReceiver(TOKEN, **more), {"transport": "sumo"}),
        "gelf": (GelfReceiver, {"transport": "gelf_http"}),
        "bulk": (lambda **more: BulkReceiver(authorization=API_KEY, **more), {"transport": "bulk"}),
    }


KINDS = sorted(receivers())


def line_of(event: Any) -> bytes:
    if isinstance(event, dict):
        event = event.get("event") or event.get("short_message") or event.get("message")
    return event if isinstance(event, bytes) else str(event).encode()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_arrives_is_what_the_lake_has(account: Account, load: Load, listen: Any, kind: str) -> None:
    load(1, 2, 3)
    make, options = receivers()[kind]
    receiver = listen(make())
    (outcome,) = send_all(to(account, receiver, batch_bytes=20_000, **options))
    assert list(map(line_of, receiver.events)) == lines_of(account)
    if kind not in ("hec raw", "sumo"):  # where there is no place for it
        assert receiver.ids == ids_of(account)
    assert len([one for one in receiver.requests if "/ack" not in one.path]) > 3, "it is sent in batches"
    assert all(one.headers["content-encoding"] == "gzip" for one in receiver.requests if "/ack" not in one.path)
    expected = {"bulk": "stored", "hec acknowledged": "acknowledged"}.get(kind, "accepted")
    assert (outcome.acknowledgement, outcome.sent, outcome.resent) == (expected, 150, 0)


@pytest.mark.parametrize("status", [429, 503, 0])
def test_what_may_pass_is_asked_again(account: Account, load: Load, listen: Any, kind: str, status: int) -> None:
    load(1)
    make, options = receivers()[kind]
    receiver = listen(make())
    receiver.script.append(SiemAnswer(status, headers={"Retry-After": "7"}))
    (outcome,) = send_all(to(account, receiver, **options))
    assert list(map(line_of, receiver.events)) == lines_of(account)
    assert outcome.sent == 50
    if status:
        assert receiver.waited[0] == 7


def test_a_request_that_is_taken_and_not_answered_comes_twice_except_under_an_id(
    account: Account, load: Load, listen: Any, kind: str
) -> None:
    load(1)
    make, options = receivers()[kind]
    receiver = listen(make())
    receiver.script.append(SiemAnswer(0, after_taking=True))
    send_all(to(account, receiver, **options))
    # What Splunk had not indexed yet counts for nothing: the second request is the one that is confirmed.
    assert len(receiver.events) == (50 if kind in ("bulk", "hec acknowledged") else 100)
    assert set(map(line_of, receiver.events)) == set(lines_of(account))


def test_a_receiver_that_is_down_all_the_time_gets_all_of_it_later(
    account: Account, load: Load, listen: Any, kind: str
) -> None:
    load(1)
    make, options = receivers()[kind]
    receiver = listen(make())
    receiver.script.extend([SiemAnswer(503)] * 4)
    sending = to(account, receiver, **options)
    with pytest.raises(DestinationUnavailableError, match="no success in 4 attempts, the last one: HTTP 503"):
        send_all(sending)
    assert sending.pending() == [1]
    send_all(sending)
    assert list(map(line_of, receiver.events)) == lines_of(account)


def test_a_wrong_token_is_refused_once_and_shown_nowhere(account: Account, load: Load, listen: Any, kind: str) -> None:
    load(1)
    make, options = receivers()[kind]
    if kind == "gelf":
        receiver = listen(make())
        receiver.script.append(SiemAnswer(401))
    else:
        receiver = listen(make())
        receiver.token = receiver.authorization = "another"
    sending = to(account, receiver, **options)
    with pytest.raises(DestinationRefusedError, match=r"refuses the credentials \(HTTP 40[13]\)") as told:
        send_all(sending)
    assert TOKEN not in str(told.value)
    assert len(receiver.requests) == 1
    assert sending.pending() == [1]


def test_a_redirect_is_not_followed(account: Account, load: Load, listen: Any, kind: str) -> None:
    load(1)
    make, options = receivers()[kind]
    receiver, other = listen(make()), listen(make())
    receiver.script.append(SiemAnswer(307, headers={"Location": f"http://127.0.0.1:{other.port}/"}))
    with pytest.raises(DestinationRefusedError, match="the token goes to no other host"):
        send_all(to(account, receiver, **options))
    assert other.requests == []


def test_a_request_that_is_too_large_is_halved_and_an_event_that_is_is_counted(
    account: Account, load: Load, listen: Any, kind: str
) -> None:
    load(1)
    make, options = receivers()[kind]
    largest = sorted(map(len, lines_of(account)))[-1]
    receiver = listen(make(most_bytes=6000))
    (outcome,) = send_all(to(account, receiver, **options))
    assert largest < 5000
    assert sorted(map(line_of, receiver.events)) == sorted(lines_of(account))
    receiver.most_bytes = 10
    load(2)
    (outcome,) = send_all(to(account, receiver, **options))
    assert outcome.rejected == {"too_large_for_destination": 50}
    assert (outcome.sent, outcome.imbalance()) == (0, None)


@pytest.mark.needs("openssl")
def test_tls_is_verified(account: Account, load: Load, listen: Any, certificates: Certificates, kind: str) -> None:
    load(1)
    make, options = receivers()[kind]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    receiver = listen(make(ssl_context=context))
    token = "a2V5" if kind == "bulk" else TOKEN

    def sending(**given: Any) -> Forwarding:
        address = Address(host="localhost", port=receiver.port, password=token, **given)
        return forwarding(account, DestinationOptions(**options), address=address, retry_policy=RetryPolicy(attempts=1))

    with pytest.raises(DestinationRefusedError, match="certificate does not verify"):
        send_all(sending())
    assert receiver.requests == []
    with pytest.raises(DestinationRefusedError, match="CA bundle"):
        send_all(sending(verify="/nowhere/ca.pem"))
    send_all(sending(verify=str(certificates.certificate)))
    assert list(map(line_of, receiver.events)) == lines_of(account)


def test_http_is_spoken_on_loopback_only() -> None:
    with pytest.raises(ConfigurationError, match="Use https"):
        Address(host="siem.example", port=8088, plain=True)


def test_an_event_of_a_megabyte_arrives_whole(account: Account, listen: Any, kind: str) -> None:
    """Unless the receiver has a limit of its own, as Sumo Logic's request has."""
    large = f"{forge_events(1)[0]} postbody={'x' * 600_000}{'é' * 250_000}"
    account.repository.add("8416_1.log", forge_log(large + "\n"))
    account.run_some()
    make, options = receivers()[kind]
    receiver = listen(make())
    (outcome,) = send_all(to(account, receiver, **options))
    if kind == "sumo":
        assert outcome.rejected == {"too_large_for_destination": 1}
    else:
        assert list(map(line_of, receiver.events)) == [large.encode()]
        assert (outcome.sent, outcome.size) == (1, len(large.encode()))


class TestHec:
    def test_splunk_confirms_late(self, account: Account, load: Load, listen: Any) -> None:
        load(1, 2)
        receiver = listen(HecReceiver(TOKEN, acknowledges=True, confirm_after=3))
        (outcome,) = send_all(to(account, receiver, transport="hec", acknowledge=True, batch_bytes=10_000))
        assert receiver.ids == ids_of(account)
        assert outcome.resent == 0

    def test_what_splunk_forgot_is_sent_again(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(HecReceiver(TOKEN, acknowledges=True, confirm_after=2))

        class Forgetting:
            """A restart of Splunk right after it has taken the first request."""

            asked = 0

            def __call__(self, request: Any) -> SiemAnswer:
                self.asked += request.path.endswith("/ack")
                if self.asked == 1 and request.path.endswith("/ack"):
                    receiver._pending.clear()
                return HecReceiver.answer(receiver, request)

        receiver.answer = Forgetting()
        (outcome,) = send_all(to(account, receiver, transport="hec", acknowledge=True, confirm_within=0.5))
        assert receiver.ids == ids_of(account)
        assert outcome.resent == 50

    def test_what_is_never_confirmed_is_not_settled(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(HecReceiver(TOKEN, acknowledges=True, confirm_after=10**6))
        sending = to(account, receiver, transport="hec", acknowledge=True, confirm_within=0.01)
        with pytest.raises(DestinationUnavailableError, match="did not confirm a request"):
            send_all(sending)
        assert sending.pending() == [1]

    @pytest.mark.parametrize(
        ("acknowledges", "acknowledge", "message"),
        [(True, False, "Set the option `acknowledge` to true"), (False, True, "Enable indexer acknowledgment")],
    )
    def test_both_sides_have_to_agree_on_acknowledgement(
        self, account: Account, load: Load, listen: Any, acknowledges: bool, acknowledge: bool, message: str
    ) -> None:
        load(1)
        receiver = listen(HecReceiver(TOKEN, acknowledges=acknowledges))
        with pytest.raises(DestinationRefusedError, match=message):
            send_all(to(account, receiver, transport="hec", acknowledge=acknowledge))

    def test_an_index_that_is_not_there_is_said(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(HecReceiver(TOKEN, indexes=frozenset({"waf"})))
        with pytest.raises(DestinationRefusedError, match=r"HEC code 7.*Create the index"):
            send_all(to(account, receiver, transport="hec", index="wav"))
        send_all(to(account, receiver, transport="hec", index="waf"))
        assert {event["index"] for event in receiver.events} == {"waf"}

    def test_what_is_beside_the_event(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(HecReceiver(TOKEN))
        send_all(to(account, receiver, transport="hec", source="here", source_type="cef", host_name="waf"))
        first = receiver.events[0]
        assert (first["host"], first["source"], first["sourcetype"]) == ("waf", "here", "cef")
        assert first["fields"] == {"imperva_uid": ids_of(account)[0], "event_class": first["fields"]["event_class"]}
        start = dict(pair.split("=", 1) for pair in first["event"].split(" ") if "=" in pair)["start"]
        assert round(first["time"] * 1000) == int(start)

    def test_json_is_an_object_and_no_text(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(HecReceiver(TOKEN))
        send_all(to(account, receiver, transport="hec", format="json"))
        assert receiver.events[0]["event"]["src_file"] == "8416_1.log"


class TestBulk:
    def test_sending_again_changes_nothing(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(BulkReceiver(authorization=API_KEY))
        send_all(to(account, receiver, transport="bulk"))
        sending = to(account, receiver, transport="bulk")
        (outcome,) = sending.send([1], again=True)
        assert (len(receiver.documents), len(receiver.events), outcome.sent) == (50, 50, 50)

    def test_single_documents_that_have_no_room_are_sent_again(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(BulkReceiver(authorization=API_KEY))
        receiver.item_script.extend([201, 429, 201, 503])
        (outcome,) = send_all(to(account, receiver, transport="bulk"))
        assert set(receiver.documents) == set(ids_of(account))
        assert outcome.sent == 50

    def test_a_document_that_does_not_fit_is_counted(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(BulkReceiver(authorization=API_KEY))
        receiver.item_script.extend([201, 400])
        (outcome,) = send_all(to(account, receiver, transport="bulk"))
        assert (outcome.sent, outcome.rejected) == (49, {"mapper_parsing_exception": 1})
        assert outcome.imbalance() is None

    def test_json_has_its_columns(self, account: Account, load: Load, listen: Any) -> None:
        load(1)
        receiver = listen(BulkReceiver(authorization=API_KEY))
        send_all(to(account, receiver, transport="bulk", format="json", index="waf-events"))
        document = receiver.documents[ids_of(account)[0]]
        assert document["src_line"] == 1
        assert receiver.requests[0].path == "/waf-events/_bulk"
        assert json.dumps(document)
