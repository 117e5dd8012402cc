"""Large files, end to end: divided, presigned on demand, resumed, joined, proved and promoted; and what S3 refuses."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from gateway.apps import make_pass, open_receipt
from gateway.errors import Code
from gateway.uploads import Uploads
from tests.gateways import APP_SECRET, calling, make_app
from tests.http.routes.conftest import AppOver, speaking
from tests.http.routes.flow import (
    MIB,
    TENANTS,
    assert_refused,
    bearer,
    complete,
    film,
    issue_divided,
    piece,
    put_part,
    send,
    sha256,
    sign,
)
from tests.servers.s3 import S3Server

LARGE = 16 * MIB + 7  # three parts, the last of them short
NOTHING = dict.fromkeys(("object", "receipt", "link", "problem", "retry_after"))


async def status_of(client: httpx.AsyncClient, ticket: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(ticket["status_url"])
    assert answer.status_code == 200, answer.text
    status: dict[str, Any] = answer.json()
    return status


async def downloaded(bucket: httpx.AsyncClient, client: httpx.AsyncClient, status: dict[str, Any]) -> httpx.Response:
    redirect = await client.get(status["link"])
    return await bucket.get(redirect.headers["location"])


def left_behind(server: S3Server, ticket: dict[str, Any]) -> list[str]:
    """List, as someone who may look at everything, the unfinished uploads of a ticket."""
    s3 = server.admin_s3()
    keys = {ticket["upload_key"], ticket["key"]}
    uploads = s3.list_multipart_uploads(Bucket=server.bucket).get("Uploads", [])
    return [upload["UploadId"] for upload in uploads if upload["Key"] in keys]


# One file from its ticket to its link


@pytest.mark.parametrize("parts", ["named", "found"])
async def test_a_large_file_goes_in_parts_and_is_stored_as_it_was(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, parts: str
) -> None:
    body = film(LARGE)
    ticket = await issue_divided(strict_client, len(body), on_behalf_of="alice", metadata={"reel": "1"})
    sent = await send(bucket, ticket, body, reversed(ticket["multipart"]["parts"]))

    answer = await strict_client.post(ticket["complete_url"], json={"parts": sent[::-1]} if parts == "named" else {})

    assert answer.status_code == 200, answer.text
    status = answer.json()
    found = status["object"]
    assert status == {
        **NOTHING,
        "status": "stored",
        "parts": [],
        "object": {
            "key": ticket["key"],
            "size": LARGE,
            "content_type": "application/octet-stream",
            "filename": "film.bin",
            "checksum_sha256": found["checksum_sha256"],
            "checksum_type": found["checksum_type"],
            "etag": found["etag"],
            "principal": "alice",
            "metadata": {"reel": "1"},
            "stored_at": found["stored_at"],
        },
        "receipt": status["receipt"],
        "link": status["link"],
    }
    receipt = open_receipt(status["receipt"], [APP_SECRET])
    assert (receipt.key.key, receipt.size, receipt.principal) == (ticket["key"], LARGE, "alice")
    assert (await downloaded(bucket, strict_client, status)).content == body
    assert left_behind(strict, ticket) == []
    for repeated in ({}, {"parts": sent[::-1]}):
        assert (await strict_client.post(ticket["complete_url"], json=repeated)).content == answer.content
    assert await status_of(strict_client, ticket) == status


async def test_a_ticket_in_parts_has_exactly_the_documented_shape(client: httpx.AsyncClient) -> None:
    ticket = await issue_divided(client, 20 * MIB, checksum_sha256=sha256(b"of the whole"))
    url = f"http://127.0.0.1/v1/uploads/{ticket['ticket']}"
    multipart = ticket["multipart"]
    assert ticket == {
        "ticket": ticket["ticket"],
        "key": ticket["key"],
        "upload_key": ticket["key"].replace("objects/", "incoming/"),
        "expires_at": ticket["expires_at"],
        "server_time": ticket["server_time"],
        "upload": None,
        "multipart": {
            "part_size": 8 * MIB,
            "part_count": 3,
            "parts": [
                {
                    "part_number": number,
                    "size": size,
                    "method": "PUT",
                    "url": multipart["parts"][number - 1]["url"],
                    "headers": {},
                    "expires_at": multipart["parts"][0]["expires_at"],
                }
                for number, size in ((1, 8 * MIB), (2, 8 * MIB), (3, 4 * MIB))
            ],
            "parts_url": f"{url}/parts",
        },
        "status_url": url,
        "complete_url": f"{url}/complete",
        "abort_url": url,
    }
    assert re.fullmatch(r"objects/default/films/[0-9a-f]{32}\.bin", ticket["key"])


@pytest.mark.parametrize(("size", "count", "first"), [(1, 1, 1), (8 * MIB, 1, 1), (8 * MIB + 1, 2, 2)])
async def test_a_ticket_counts_its_parts(client: httpx.AsyncClient, size: int, count: int, first: int) -> None:
    multipart = (await issue_divided(client, size))["multipart"]
    assert (multipart["part_count"], len(multipart["parts"])) == (count, first)
    assert sum(part["size"] for part in multipart["parts"]) == size


async def test_a_ticket_brings_ten_parts_at_most(client: httpx.AsyncClient) -> None:
    ticket = await issue_divided(client, 5 * 2**30, policy="default", filename="large.txt", content_type="text/plain")
    multipart = ticket["multipart"]
    assert multipart["part_count"] == 640
    assert [part["part_number"] for part in multipart["parts"]] == list(range(1, 11))
    await client.delete(ticket["abort_url"])


async def test_below_the_policys_size_a_file_goes_whole(client: httpx.AsyncClient) -> None:
    for size, divided in ((100 * MIB - 1, False), (100 * MIB, True), (None, True)):
        ticket = await issue_divided(client, size, policy="default", filename="a.txt", content_type="text/plain")
        assert ((ticket["upload"] is None), (ticket["multipart"] is not None)) == (divided, divided)


async def test_what_the_policy_refuses_begins_no_upload(client: httpx.AsyncClient, ministack: S3Server) -> None:
    wish = {"filename": "film.bin", "content_type": "application/octet-stream", "policy": "films"}
    before = ministack.admin_s3().list_multipart_uploads(Bucket=ministack.bucket).get("Uploads", [])
    for changes, code in (
        ({"size": 40 * MIB + 1}, Code.TOO_LARGE),
        ({"size": 7, "content_type": "image/png"}, Code.TYPE_NOT_ALLOWED),
        ({"size": None, "filename": "\u200b"}, Code.INVALID_FILENAME),
        ({"size": None, "metadata": {"a": "\0" * 500}}, Code.METADATA_TOO_LARGE),
    ):
        answer = await client.post("/v1/uploads", json={**wish, **changes})
        assert answer.json()["code"] == code.code
    after = ministack.admin_s3().list_multipart_uploads(Bucket=ministack.bucket).get("Uploads", [])
    assert {upload["UploadId"] for upload in after} <= {upload["UploadId"] for upload in before}


# Lost on the way, and found again


async def test_another_machine_goes_on_from_what_has_arrived(
    strict: S3Server, app_over: AppOver, bucket: httpx.AsyncClient
) -> None:
    body = film(LARGE)
    async with speaking(app_over(strict)) as client:
        ticket = await issue_divided(client, len(body))
        assert await status_of(client, ticket) == {**NOTHING, "status": "waiting", "parts": []}
        (second,) = await send(bucket, ticket, body, ticket["multipart"]["parts"][1:2])
    async with calling(make_app(strict, tenants=TENANTS), api_key=None) as elsewhere:
        arrived = {"part_number": 2, "size": 8 * MIB, "etag": second["etag"]}
        assert await status_of(elsewhere, ticket) == {**NOTHING, "status": "uploading", "parts": [arrived]}
        assert_refused(
            await complete(elsewhere, ticket), Code.NOT_UPLOADED, "2 parts of this upload have not arrived yet."
        )
        rest = await send(bucket, ticket, body, await sign(elsewhere, ticket, 1, 3))
        parts = [rest[0], second, rest[1]]
        assert [part["etag"] for part in (await status_of(elsewhere, ticket))["parts"]] == [
            part["etag"] for part in parts
        ]
        status = (await complete(elsewhere, ticket)).json()
        assert (await downloaded(bucket, elsewhere, status)).content == body


async def test_a_part_may_be_sent_again_and_the_last_one_counts(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(1000)
    ticket = await issue_divided(strict_client, len(body))
    (part,) = ticket["multipart"]["parts"]
    assert (await put_part(bucket, part, film(999) + b"!")).status_code == 200
    await send(bucket, ticket, body, [part])
    status = (await complete(strict_client, ticket)).json()
    assert (await downloaded(bucket, strict_client, status)).content == body


# A stream


async def test_a_stream_is_stored_though_nobody_knew_its_size(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(8 * MIB + 7)
    ticket = await issue_divided(strict_client, None)
    multipart = ticket["multipart"]
    assert (multipart["part_size"], multipart["part_count"], multipart["parts"]) == (8 * MIB, None, [])
    parts = [*await sign(strict_client, ticket, 1), *await sign(strict_client, ticket, 2, sizes={"2": 7})]
    sent = await send(bucket, ticket, body, parts)
    answer = await strict_client.post(ticket["complete_url"], json={"parts": sent})
    assert (answer.status_code, answer.json()["object"]["size"]) == (200, len(body))
    assert (await downloaded(bucket, strict_client, answer.json())).content == body


@pytest.mark.threat(10)
async def test_a_stream_beyond_the_policys_size_is_rejected_and_freed(
    ministack: S3Server, client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    small = bearer(make_pass([APP_SECRET], "alice", policy="films", max_size=9 * MIB))
    wish = {"filename": "film.bin", "content_type": "application/octet-stream", "policy": "films", "size": None}
    ticket = (await client.post("/v1/uploads", json=wish, headers=small)).json()
    body = film(16 * MIB)
    sent = await send(bucket, ticket, body[: 8 * MIB], await sign(client, ticket, 1))
    answer = await client.post(ticket["multipart"]["parts_url"], json={"part_numbers": [2], "sizes": {"2": MIB + 1}})
    assert_refused(answer, Code.INVALID_REQUEST, f"Part 2 of this upload has {MIB} bytes.")
    answer = await client.post(ticket["multipart"]["parts_url"], json={"part_numbers": [3]})
    assert_refused(answer, Code.INVALID_REQUEST, "This upload has parts 1 to 2.")
    # Whoever may write there by other means still gets no more than was granted.
    s3 = ministack.admin_s3()
    (upload_id,) = left_behind(ministack, ticket)
    s3.upload_part(
        Bucket=ministack.bucket, Key=ticket["upload_key"], UploadId=upload_id, PartNumber=2, Body=body[: 8 * MIB]
    )
    for named in ({}, {"parts": sent}):
        assert_refused(await client.post(ticket["complete_url"], json=named), Code.SIZE_MISMATCH)
    assert (await status_of(client, ticket))["status"] == "rejected"
    assert left_behind(ministack, ticket) == []


async def test_a_pass_that_allows_no_byte_allows_no_stream(client: httpx.AsyncClient) -> None:
    nothing = bearer(make_pass([APP_SECRET], "alice", policy="films", max_size=0))
    wish = {"filename": "film.bin", "content_type": "application/octet-stream", "policy": "films", "size": None}
    answer = await client.post("/v1/uploads", json=wish, headers=nothing)
    assert_refused(answer, Code.TOO_LARGE, "This policy takes no bytes.")


# Checksums


@pytest.mark.parametrize("wish", [{"policy": "sealed"}, {"part_checksums": True}], ids=["the policy's", "the client's"])
@pytest.mark.threat(11)
async def test_with_checksums_the_bucket_takes_no_other_bytes(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, wish: dict[str, object]
) -> None:
    body = film(8 * MIB + 7)
    ticket = await issue_divided(strict_client, len(body), **wish)
    assert ticket["multipart"]["parts"] == []
    refused = await strict_client.post(ticket["multipart"]["parts_url"], json={"part_numbers": [1]})
    assert (refused.status_code, refused.json()["code"]) == (422, "checksum-required")
    digests = {str(number): sha256(piece(ticket, body, number)) for number in (1, 2)}
    parts = await sign(strict_client, ticket, 1, 2, checksums_sha256=digests)
    assert (await put_part(bucket, parts[1], b"others!")).status_code == 400
    assert (await put_part(bucket, {**parts[1], "headers": {}}, piece(ticket, body, 2))).status_code == 403
    forged = {**parts[1]["headers"], "x-amz-checksum-sha256": sha256(b"others!")}
    assert (await put_part(bucket, {**parts[1], "headers": forged}, b"others!")).status_code == 403
    sent = await send(bucket, ticket, body, parts)
    named = [{**part, "checksum_sha256": digests[str(part["part_number"])]} for part in sent]
    answer = await strict_client.post(ticket["complete_url"], json={"parts": named})
    assert answer.status_code == 200, answer.text
    assert (await downloaded(bucket, strict_client, answer.json())).content == body


# What the bucket refuses


def url(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(part: dict[str, Any]) -> None:
        assert part["url"].count(old) == 1, old
        part["url"] = part["url"].replace(old, new)

    return change


def added(**more: object) -> Callable[[dict[str, Any]], None]:
    return lambda part: part.update(more)


CHANGES: Mapping[str, Callable[[dict[str, Any]], None]] = {
    "a byte more": added(body=film(1000) + b"!"),
    "a byte less": added(body=film(1000)[:-1]),
    "no bytes": added(body=b""),
    "another part": url("partNumber=1&", "partNumber=2&"),
    "part zero": url("partNumber=1&", "partNumber=0&"),
    "another upload": url("&uploadId=", "&uploadId=x"),
    "no upload": url("&uploadId=", "&upload="),
    "an object of its own": url("partNumber=1&", ""),
    "another place": url("/incoming/", "/objects/"),
    "another tenant": url("/incoming/default/", "/incoming/other/"),
    "a longer life": url("X-Amz-Expires=900", "X-Amz-Expires=901"),
    "another signature": url("X-Amz-Signature=", "X-Amz-Signature=0"),
    "an unsigned length": url("content-length%3B", ""),
    "a read": added(method="GET", body=b""),
    "an abort": added(method="DELETE", body=b""),
    "a completion": added(method="POST", body=b"<CompleteMultipartUpload/>"),
}


@pytest.mark.threat(5, 10)
@pytest.mark.parametrize("change", CHANGES)
async def test_the_bucket_refuses_every_part_but_the_granted_one(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient, change: str
) -> None:
    ticket = await issue_divided(strict_client, 1000)
    (part,) = ticket["multipart"]["parts"]
    spoiled = {**part, "body": film(1000)}
    CHANGES[change](spoiled)
    assert (await put_part(bucket, spoiled, spoiled["body"])).status_code == 403
    assert (await status_of(strict_client, ticket))["status"] == "waiting"
    await send(bucket, ticket, film(1000), [part])
    assert (await complete(strict_client, ticket)).status_code == 200


@pytest.mark.threat(1, 5)
async def test_nobody_elses_ticket_signs_lists_joins_or_aborts(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue_divided(strict_client, 1000, on_behalf_of="alice")
    mallory = bearer(make_pass([APP_SECRET], "mallory", policy="films"))
    for answer in (
        await strict_client.get(ticket["status_url"], headers=mallory),
        await strict_client.post(ticket["multipart"]["parts_url"], json={"part_numbers": [1]}, headers=mallory),
        await strict_client.post(ticket["complete_url"], json={}, headers=mallory),
        await strict_client.delete(ticket["abort_url"], headers=mallory),
    ):
        assert_refused(answer, Code.NOT_FOUND)
    await send(bucket, ticket, film(1000), ticket["multipart"]["parts"])
    assert (await complete(strict_client, ticket)).status_code == 200


# Completions that do not add up


async def test_parts_are_named_once_in_their_order_and_as_they_arrived(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(LARGE)
    ticket = await issue_divided(strict_client, len(body))
    first, second, third = await send(bucket, ticket, body, ticket["multipart"]["parts"])
    in_order = "Name each part once, in the order of their numbers."
    for parts in ([second, first, third], [first, first, second, third], [third, second, first], [first] * 10_000):
        answer = await strict_client.post(ticket["complete_url"], json={"parts": parts})
        assert_refused(answer, Code.INVALID_REQUEST, in_order)
    too_many = [{"part_number": number % 10_000 + 1, "etag": '"e"'} for number in range(10_001)]
    answer = await strict_client.post(ticket["complete_url"], json={"parts": too_many})
    assert_refused(answer, Code.INVALID_REQUEST, f"{Code.INVALID_REQUEST.sentence} (parts: too_long)")
    for parts, number in (
        ([first, second, {**third, "etag": '"0"'}], 3),
        ([first, {**second, "etag": third["etag"]}, third], 2),
        ([first, second, third, {"part_number": 4, "etag": '"0"'}], 4),
    ):
        answer = await strict_client.post(ticket["complete_url"], json={"parts": parts})
        detail = f"Part {number} has not arrived as it is named: upload it again."
        assert_refused(answer, Code.NOT_UPLOADED, detail)
    for parts, missing in (
        ([], "No part of this upload has arrived yet."),
        ([first, third], "1 parts of this upload have not arrived yet."),
    ):
        answer = await strict_client.post(ticket["complete_url"], json={"parts": parts})
        assert_refused(answer, Code.NOT_UPLOADED, missing)
    without_quotes = [{**part, "etag": part["etag"].strip('"')} for part in (first, second, third)]
    answer = await strict_client.post(ticket["complete_url"], json={"parts": without_quotes})
    assert answer.status_code == 200, answer.text
    assert (await downloaded(bucket, strict_client, answer.json())).content == body


async def test_parts_that_do_not_add_up_to_the_granted_size_are_rejected_and_freed(
    strict: S3Server, strict_client: httpx.AsyncClient
) -> None:
    for size in (999, 1001):
        ticket = await issue_divided(strict_client, 1000)
        (upload_id,) = left_behind(strict, ticket)
        strict.admin_s3().upload_part(  # no URL that we sign would let it in
            Bucket=strict.bucket, Key=ticket["upload_key"], UploadId=upload_id, PartNumber=1, Body=film(size)
        )
        for _ in range(2):
            assert_refused(await complete(strict_client, ticket), Code.SIZE_MISMATCH)
        assert (await status_of(strict_client, ticket))["status"] == "rejected"
        assert left_behind(strict, ticket) == []


async def test_bytes_that_are_not_what_was_declared_are_rejected_in_parts_too(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = b"\0" * 1000
    ticket = await issue_divided(strict_client, len(body), filename="a.txt", content_type="text/plain")
    await send(bucket, ticket, body, ticket["multipart"]["parts"])
    for _ in range(2):
        assert_refused(await complete(strict_client, ticket), Code.CONTENT_MISMATCH)
    status = await status_of(strict_client, ticket)
    assert (status["status"], status["problem"]["code"]) == ("rejected", "content-mismatch")


# Abort


@pytest.mark.threat(33)
async def test_an_abort_frees_every_part_and_kills_every_url(
    strict: S3Server, strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(LARGE)
    ticket = await issue_divided(strict_client, len(body))
    parts = ticket["multipart"]["parts"]
    await send(bucket, ticket, body, parts[:2])
    assert len(left_behind(strict, ticket)) == 1
    for _ in range(2):
        answer = await strict_client.delete(ticket["abort_url"])
        assert (answer.status_code, answer.content) == (204, b"")
    assert left_behind(strict, ticket) == []
    for part in [*parts, *await sign(strict_client, ticket, 1)]:
        assert (await put_part(bucket, part, piece(ticket, body, part["part_number"]))).status_code == 404
    assert await status_of(strict_client, ticket) == {**NOTHING, "status": "aborted", "parts": []}
    answer = await complete(strict_client, ticket)
    assert_refused(answer, Code.NOT_UPLOADED, "The upload was aborted: ask for a new ticket.")


@pytest.mark.threat(33)
async def test_what_is_stored_is_not_aborted_and_its_urls_are_dead(
    strict_client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(1000)
    ticket = await issue_divided(strict_client, len(body))
    await send(bucket, ticket, body, ticket["multipart"]["parts"])
    status = (await complete(strict_client, ticket)).json()
    assert_refused(await strict_client.delete(ticket["abort_url"]), Code.ALREADY_STORED)
    assert (await put_part(bucket, ticket["multipart"]["parts"][0], film(1000)[::-1])).status_code == 404
    assert (await downloaded(bucket, strict_client, status)).content == body


async def test_an_upload_in_parts_is_completed_by_its_key_once_it_is_joined(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    ticket = await issue_divided(client, 1000)
    named = {"upload_key": ticket["upload_key"]}
    await send(bucket, ticket, film(1000), ticket["multipart"]["parts"])
    assert_refused(await client.post("/v1/uploads/complete", json=named), Code.NOT_UPLOADED)
    status = (await complete(client, ticket)).json()
    assert (await client.post("/v1/uploads/complete", json=named)).json() == status


# Promotion by parts


@pytest.fixture
async def copying(strict: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    """Speak to a gateway that copies by parts what is larger than 5 MiB."""
    async with calling(make_app(strict, tenants=TENANTS, copy_threshold="5 MiB")) as client:
        yield client


async def test_a_large_object_is_promoted_by_parts_and_stays_as_it_was(
    strict: S3Server, copying: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    body = film(20 * MIB)
    ticket = await issue_divided(copying, len(body), metadata={"reel": "2"})
    await send(bucket, ticket, body, ticket["multipart"]["parts"])
    answer = await complete(copying, ticket)
    assert answer.status_code == 200, answer.text
    assert answer.json()["object"]["metadata"] == {"reel": "2"}
    download = await downloaded(bucket, copying, answer.json())
    assert (download.content, download.headers["etag"][-3:-1]) == (body, "-2")  # 16 MiB, and the rest
    assert left_behind(strict, ticket) == []
    assert (await complete(copying, ticket)).content == answer.content


async def test_a_promotion_that_takes_long_is_202_and_a_repeat_ends_it(
    strict: S3Server, bucket: httpx.AsyncClient
) -> None:
    app = make_app(strict, tenants=TENANTS, copy_threshold="5 MiB")
    gateway = app.state.gateway
    gate = asyncio.Event()
    storage = gateway.storage
    copy_part = storage.copy_part

    async def held(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever copy_part takes
        await gate.wait()
        return await copy_part(*given, **named)

    storage.copy_part = held
    uploads = Uploads(storage, gateway.tokens, lambda: "nonce", answer_within=0.2, copy_threshold=5 * MIB)
    app.state.gateway = replace(gateway, uploads=uploads)
    async with calling(app) as client:
        body = film(20 * MIB)
        ticket = await issue_divided(client, len(body))
        await send(bucket, ticket, body, ticket["multipart"]["parts"])
        promoting: dict[str, object] = {**NOTHING, "status": "promoting", "parts": [], "retry_after": 3}
        for _ in range(2):
            answer = await complete(client, ticket)
            assert (answer.status_code, answer.json()) == (202, promoting)
        assert await status_of(client, ticket) == promoting
        gate.set()
        async with asyncio.timeout(30):
            while (answer := await complete(client, ticket)).status_code == 202:
                pass
        assert answer.json()["status"] == "stored"
        assert (await downloaded(bucket, client, answer.json())).content == body
