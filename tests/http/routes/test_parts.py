"""Parts, presigned on demand: all that the gateway says of them by itself, without a bucket."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.content.filenames import Filename
from gateway.errors import Code
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Multipart, Ticket
from gateway.s3.sigv4 import Credentials
from tests.gateways import OTHER_API_KEY, calling, make_app, settings
from tests.http.routes.flow import MIB, NOW, NOWHERE, TENANTS, assert_refused, bearer, sha256

KEY = ObjectKey("default", "films", "0" * 32, "bin")
GRANT = Grant("alice", KEY, "application/octet-stream", 20 * MIB + 1, None, Filename("film.bin"), {}, NOW, NOW + 86_400)
DIVIDED = Ticket(GRANT, Multipart("an-upload/id+", 8 * MIB))
CHECKED = Ticket(GRANT, Multipart("an-upload/id+", 8 * MIB, checksums=True))
STREAM = Ticket(replace(GRANT, exact=False), Multipart("an-upload/id+", 8 * MIB))
UNSIZED = Ticket(replace(GRANT, exact=False), Multipart("an-upload/id+", None))
SINGLE = Ticket(GRANT)
NOT_AS_DOCUMENTED = Code.INVALID_REQUEST.sentence
DIGEST = sha256(b"a part")


def sealed(ticket: Ticket) -> str:
    return settings(NOWHERE, tenants=TENANTS).tokens().seal_ticket(ticket)


async def ask(client: httpx.AsyncClient, ticket: Ticket, **body: object) -> httpx.Response:
    return await client.post(f"/v1/uploads/{sealed(ticket)}/parts", json=body)


async def sizes_of(client: httpx.AsyncClient, ticket: Ticket, **body: object) -> dict[int, int | None]:
    answer = await ask(client, ticket, **body)
    assert answer.status_code == 200, answer.text
    return {part["part_number"]: part["size"] for part in answer.json()["parts"]}


async def test_a_part_has_exactly_the_documented_shape(offline: httpx.AsyncClient) -> None:
    answer = await ask(offline, CHECKED, part_numbers=[3], checksums_sha256={"3": DIGEST})
    part = answer.json()["parts"][0]
    assert answer.json() == {
        "parts": [
            {
                "part_number": 3,
                "size": 4 * MIB + 1,
                "method": "PUT",
                "url": part["url"],
                "headers": {"x-amz-checksum-sha256": DIGEST, "x-amz-sdk-checksum-algorithm": "SHA256"},
                "expires_at": "2027-01-15T08:15:00Z",
            }
        ]
    }
    assert re.fullmatch(
        rf"http://127\.0\.0\.1:9/gateway-test/{KEY.upload_key}\?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        r"&X-Amz-Credential=AKIANOBODY0000000000%2F20270115%2Fus-east-1%2Fs3%2Faws4_request"
        r"&X-Amz-Date=20270115T080000Z&X-Amz-Expires=900"
        r"&X-Amz-SignedHeaders=content-length%3Bhost%3Bx-amz-checksum-sha256%3Bx-amz-sdk-checksum-algorithm"
        r"&partNumber=3&uploadId=an-upload%2Fid%2B&X-Amz-Signature=[0-9a-f]{64}",
        part["url"],
    )


async def test_parts_come_in_the_order_asked_each_with_its_own_length(offline: httpx.AsyncClient) -> None:
    sizes = await sizes_of(offline, DIVIDED, part_numbers=[3, 1, 2])
    assert list(sizes.items()) == [(3, 4 * MIB + 1), (1, 8 * MIB), (2, 8 * MIB)]


async def test_a_thousand_parts_are_presigned_at_once_and_no_two_alike(offline: httpx.AsyncClient) -> None:
    large = Ticket(replace(GRANT, size=10_000 * 8 * MIB), DIVIDED.multipart)
    answer = await ask(offline, large, part_numbers=list(range(9_001, 10_001)))
    assert len({part["url"] for part in answer.json()["parts"]}) == 1000


async def test_the_last_part_of_a_stream_may_be_shorter_and_none_longer(offline: httpx.AsyncClient) -> None:
    assert await sizes_of(offline, STREAM, part_numbers=[1, 2], sizes={"2": 7}) == {1: 8 * MIB, 2: 7}
    for ticket, size in ((STREAM, 8 * MIB + 1), (DIVIDED, 7), (DIVIDED, 8 * MIB + 1)):
        answer = await ask(offline, ticket, part_numbers=[1], sizes={"1": size})
        assert_refused(answer, Code.INVALID_REQUEST, f"Part 1 of this upload has {8 * MIB} bytes.")
    assert await sizes_of(offline, DIVIDED, part_numbers=[3], sizes={"3": 4 * MIB + 1}) == {3: 4 * MIB + 1}


async def test_where_a_client_divides_as_it_likes_no_length_is_signed(offline: httpx.AsyncClient) -> None:
    assert await sizes_of(offline, UNSIZED, part_numbers=[5], sizes={"5": 7}) == {5: None}
    answer = await ask(offline, UNSIZED, part_numbers=[6])
    assert_refused(answer, Code.INVALID_REQUEST, "This upload has parts 1 to 5.")


@pytest.mark.parametrize("number", [4, 10_000])
async def test_a_part_beyond_the_last_is_refused(offline: httpx.AsyncClient, number: int) -> None:
    answer = await ask(offline, DIVIDED, part_numbers=[1, number])
    assert_refused(answer, Code.INVALID_REQUEST, "This upload has parts 1 to 3.")


@pytest.mark.threat(5)
@pytest.mark.parametrize("number", ["0", "-1", "10001", "1e3", "1.0", '"1"', "true", "null", "NaN", "1" + "0" * 400])
async def test_a_part_number_is_one_to_ten_thousand(offline: httpx.AsyncClient, number: str) -> None:
    answer = await offline.post(
        f"/v1/uploads/{sealed(DIVIDED)}/parts",
        content=f'{{"part_numbers": [{number}]}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid-request"


async def test_a_part_is_asked_for_once_and_a_thousand_at_a_time(offline: httpx.AsyncClient) -> None:
    for numbers, complaint in (([1, 2, 1], "repeated"), ([], "too_short"), (list(range(1, 1002)), "too_long")):
        answer = await ask(offline, DIVIDED, part_numbers=numbers)
        assert_refused(answer, Code.INVALID_REQUEST, f"{NOT_AS_DOCUMENTED} (part_numbers: {complaint})")


@pytest.mark.threat(11)
async def test_where_checksums_are_demanded_no_part_goes_without(offline: httpx.AsyncClient) -> None:
    for checksums in ({}, {"checksums_sha256": None}, {"checksums_sha256": {"1": DIGEST}}):
        answer = await ask(offline, CHECKED, part_numbers=[1, 2], **checksums)
        assert_refused(answer, Code.CHECKSUM_REQUIRED, "Send the SHA-256 of every part in checksums_sha256 (base64).")
    answer = await ask(offline, CHECKED, part_numbers=[1], checksums_sha256={"1": DIGEST[:-2] + "f="})
    assert_refused(answer, Code.INVALID_REQUEST, "checksum_sha256 is the base64 of the 32 bytes of a SHA-256.")


async def test_a_checksum_is_signed_wherever_it_is_given(offline: httpx.AsyncClient) -> None:
    answer = await ask(offline, DIVIDED, part_numbers=[1, 2], checksums_sha256={"1": DIGEST})
    headers = [part["headers"] for part in answer.json()["parts"]]
    assert headers == [{"x-amz-checksum-sha256": DIGEST, "x-amz-sdk-checksum-algorithm": "SHA256"}, {}]


async def test_what_is_said_of_a_part_that_is_not_asked_for_is_refused(offline: httpx.AsyncClient) -> None:
    detail = "checksums_sha256 and sizes speak of parts that part_numbers asks for."
    for ticket, body in (
        (DIVIDED, {"sizes": {"2": 8 * MIB}}),
        (CHECKED, {"checksums_sha256": {"1": DIGEST, "2": DIGEST}}),
        (CHECKED, {"checksums_sha256": {"2": DIGEST}}),
    ):
        assert_refused(await ask(offline, ticket, part_numbers=[1], **body), Code.INVALID_REQUEST, detail)


async def test_a_single_put_has_no_parts(offline: httpx.AsyncClient) -> None:
    answer = await ask(offline, SINGLE, part_numbers=[1])
    assert_refused(answer, Code.INVALID_REQUEST, "This upload is a single request and has no parts.")


@pytest.mark.threat(1)
async def test_nobody_signs_a_part_of_somebody_elses_upload(offline: httpx.AsyncClient) -> None:
    url, body = f"/v1/uploads/{sealed(DIVIDED)}/parts", {"part_numbers": [1]}
    assert_refused(await offline.post(url, json=body, headers=bearer(OTHER_API_KEY)), Code.NOT_FOUND)
    del offline.headers["authorization"]
    assert (await offline.post(url, json=body)).status_code == 200  # a ticket is enough by itself


# Lifetimes


@pytest.fixture
async def times() -> AsyncIterator[dict[str, Any]]:
    """Speak to a gateway whose clock, and whose credentials' end, a test sets."""
    moment: dict[str, Any] = {"now": NOW}
    async with calling(make_app(NOWHERE, clock=lambda: moment["now"], tenants=TENANTS)) as client:
        yield {"client": client, "moment": moment}


@pytest.mark.threat(18)
async def test_no_part_is_presigned_for_longer_than_its_ticket_lives(times: dict[str, Any]) -> None:
    lifetimes = {}
    for left in (3600, 900, 899, 1):
        times["moment"]["now"] = GRANT.expires_at - left
        answer = await ask(times["client"], DIVIDED, part_numbers=[1])
        lifetimes[left] = re.findall(r"X-Amz-Expires=(\d+)&", answer.json()["parts"][0]["url"])
    assert lifetimes == {3600: ["900"], 900: ["900"], 899: ["899"], 1: ["1"]}
    times["moment"]["now"] = GRANT.expires_at
    assert_refused(await ask(times["client"], DIVIDED, part_numbers=[1]), Code.NOT_FOUND)


@pytest.mark.threat(18)
async def test_no_part_is_presigned_for_longer_than_the_credentials_live() -> None:
    class Short:
        async def fresh(self, now: int) -> Credentials:
            return Credentials("AKIANOBODY0000000000", "a-secret-that-signs-and-opens-nothing", "token", now + 300)

        def close(self) -> None:
            pass

    app = make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS)
    app.state.gateway = replace(app.state.gateway, credentials=Short())
    async with calling(app) as client:
        part = (await ask(client, DIVIDED, part_numbers=[1])).json()["parts"][0]
    assert part["expires_at"] == "2027-01-15T08:05:00Z"
    assert "&X-Amz-Expires=300&" in part["url"]


async def test_no_part_is_handed_over_http_to_a_page_on_https() -> None:
    app = make_app(NOWHERE, clock=lambda: NOW, tenants=TENANTS, public_url="https://gateway.example")
    async with calling(app) as client:
        assert_refused(await ask(client, DIVIDED, part_numbers=[1]), Code.INSECURE_STORAGE)
