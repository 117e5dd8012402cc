"""Signatures of webhooks: the specification's own vector, its reference library both ways, and what is not taken."""

import json
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError

from gateway.standard_webhooks import Webhook, opened, signature

NOW = 1_800_000_000
# https://docs.svix.com/receiving/verifying-payloads/how-manual, which the libraries of Standard Webhooks test with
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
NEWER_SECRET = "whsec_bmV3ZXItc2VjcmV0LW9mLTI0LWJ5dGVzISEh"
BODY = b'{"type":"upload.stored","timestamp":"2027-01-15T07:00:00Z","data":{"key":"k"}}'
WEBHOOK = Webhook("msg_1", "upload.stored", NOW - 3600, {"key": "k"})


def headers_of(*secrets: str, body: bytes = BODY, sent_at: int = NOW, **changes: str) -> dict[str, str]:
    given = {"id": "msg_1", "timestamp": str(sent_at), "signature": signature(secrets, "msg_1", sent_at, body)}
    return {f"webhook-{name}": value for name, value in {**given, **changes}.items()}


def assert_refused(
    message: str,
    headers: Mapping[str, str],
    body: bytes = BODY,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    now: int = NOW,
) -> None:
    with pytest.raises(ValueError, match=message):
        opened(body, headers, secrets, now)


def test_the_published_vector_is_signed_as_published() -> None:
    assert signature([SECRET], *VECTOR) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_newest_secret_signs_first_and_every_other_after_it() -> None:
    both = signature([SECRET, NEWER_SECRET], *VECTOR)
    assert both == f"{signature([NEWER_SECRET], *VECTOR)} {signature([SECRET], *VECTOR)}"


@given(st.binary(min_size=24, max_size=64), st.text(alphabet="abc_019", min_size=1), st.integers(0, 2**32), st.text())
def test_every_signature_is_the_reference_library_s(key: bytes, message_id: str, sent_at: int, text: str) -> None:
    secret = f"whsec_{b64encode(key).decode()}"
    theirs = Reference(secret).sign(message_id, datetime.fromtimestamp(sent_at, UTC), text)
    assert signature([secret], message_id, sent_at, text.encode()) == theirs


def test_what_the_reference_library_signs_is_taken_and_the_other_way_round() -> None:
    now = int(time.time())
    theirs = Reference(SECRET).sign("msg_1", datetime.fromtimestamp(now, UTC), BODY.decode())
    assert opened(BODY, headers_of(sent_at=now, signature=theirs), [SECRET], now) == WEBHOOK
    assert Reference(SECRET).verify(BODY, headers_of(SECRET, sent_at=now)) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Reference(NEWER_SECRET).verify(BODY, headers_of(SECRET, sent_at=now))


def test_the_names_of_headers_are_taken_in_any_case() -> None:
    for spelt in (str.lower, str.upper, str.title):
        headers = {spelt(name): value for name, value in headers_of(SECRET).items()}
        assert opened(BODY, headers, [SECRET], NOW) == WEBHOOK


@pytest.mark.threat(46)
def test_either_side_may_have_the_new_secret_first() -> None:
    for signed, known in (
        ([SECRET], [SECRET, NEWER_SECRET]),
        ([SECRET, NEWER_SECRET], [SECRET]),
        ([SECRET, NEWER_SECRET], [NEWER_SECRET]),
        ([NEWER_SECRET], [SECRET, NEWER_SECRET]),
    ):
        assert opened(BODY, headers_of(*signed), known, NOW) == WEBHOOK
    assert_refused("no secret of ours", headers_of(NEWER_SECRET))
    assert_refused("no secret of ours", headers_of(SECRET), secrets=(NEWER_SECRET,))


def test_signatures_of_other_kinds_are_passed_over() -> None:
    ours = signature([SECRET], "msg_1", NOW, BODY)
    for others in ("v1a,AAAA", "v2,AAAA", "v1,", "v1,é", "v1", ",", "v1,AAAA v1,AAAA"):
        assert opened(BODY, headers_of(signature=f"{others} {ours}"), [SECRET], NOW) == WEBHOOK
        assert opened(BODY, headers_of(signature=f"{ours} {others}"), [SECRET], NOW) == WEBHOOK
        assert_refused("no secret of ours", headers_of(signature=others))


@pytest.mark.threat(31)
def test_what_was_changed_is_forged() -> None:
    signed = headers_of(SECRET)
    ours = signed["webhook-signature"]
    assert_refused("no secret of ours", signed, BODY + b" ")
    assert_refused("no secret of ours", signed, BODY.replace(b'"k"', b'"l"'))
    for change in (
        {"id": "msg_2"},
        {"timestamp": str(NOW + 1)},
        {"signature": ours[3:]},
        {"signature": f"v2{ours[2:]}"},
        {"signature": f"V1{ours[2:]}"},
        {"signature": ours.rstrip("=")},
        {"signature": ours.replace(",", ", ")},
        {"signature": ""},
        {"signature": "\ud800"},
    ):
        changed = {f"webhook-{name}": value for name, value in change.items()}
        assert_refused("no secret of ours", {**signed, **changed})


def test_what_has_no_headers_of_a_webhook_is_none() -> None:
    signed = headers_of(SECRET)
    for name in ("webhook-id", "webhook-timestamp"):
        assert_refused("the headers are not those of a webhook", {**signed, name: ""})
        assert_refused("the headers are not those of a webhook", {key: signed[key] for key in signed if key != name})
    for timestamp in ("now", "-1", "+1", " 1", "1.0", "1_0", "1e9", "٣", "9" * 13, "NaN"):
        assert_refused("the headers are not those of a webhook", headers_of(SECRET, timestamp=timestamp))
    assert_refused("no secret of ours", {name: signed[name] for name in signed if name != "webhook-signature"})


@pytest.mark.threat(31)
def test_a_webhook_is_taken_for_five_minutes_and_no_longer() -> None:
    signed = headers_of(SECRET)
    for now in (NOW - 300, NOW, NOW + 300):
        assert opened(BODY, signed, [SECRET], now) == WEBHOOK
    for now in (NOW - 301, NOW + 301, NOW + 86_400):
        assert_refused("not sent within 300 seconds", signed, now=now)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"type":"a","timestamp":"2027-01-15T07:00:00Z"}',
        b'{"type":1,"timestamp":"2027-01-15T07:00:00Z","data":{}}',
        b'{"type":"a","timestamp":1,"data":{}}',
        b'{"type":"a","timestamp":"yesterday","data":{}}',
        b'{"type":"a","timestamp":"2027-01-15T07:00:00","data":{}}',
        b'{"type":"a","timestamp":"2027-01-15T07:00:00Z","data":[]}',
        b"[" * 100_000,
        VECTOR[2],
    ],
)
def test_what_is_signed_and_malformed_is_refused(body: bytes) -> None:
    assert_refused("webhook|timestamp|isoformat", headers_of(SECRET, body=body), body)


@pytest.mark.parametrize("timestamp", ["2027-01-15T07:00:00.9Z", "2027-01-15T08:00:00+01:00"])
def test_other_spellings_of_a_time_are_understood(timestamp: str) -> None:
    body = BODY.replace(b"2027-01-15T07:00:00Z", timestamp.encode())
    assert opened(body, headers_of(SECRET, body=body), [SECRET], NOW) == WEBHOOK


@pytest.mark.threat(26, 46)
@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_AAAA", SECRET[6:], SECRET.upper(), f"{SECRET}!", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La"],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^a webhook secret is 'whsec_' and the base64 of at least 24 bytes$"):
        opened(BODY, headers_of(SECRET), [SECRET, secret], NOW)


def test_without_a_secret_nothing_is_proved() -> None:
    assert_refused("no secret of ours", headers_of(SECRET), secrets=())
