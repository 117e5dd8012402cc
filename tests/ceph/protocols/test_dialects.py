"""Ceph keeps the promises that the tests of Uppy's routes make."""

import httpx

from tests.ceph.suites import promises_of
from tests.protocols import test_uppy_multipart, test_uppy_single
from tests.protocols.uppy_flow import form_for, post

globals().update(promises_of(test_uppy_single, "client", "strict_client", "strict"))
globals().update(promises_of(test_uppy_multipart, "client", "strict_client"))


async def test_a_form_is_answered_without_the_header_that_uppy_5_waits_for(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    form = await form_for(client)
    answer = await post(bucket, form, b"Dear Ann, all is well.")
    assert (answer.status_code, "etag" in answer.headers) == (201, False)
    assert "<ETag>" in answer.text
    completed = await client.post("/v1/uploads/complete", json={"upload_key": form["fields"]["key"]})
    assert completed.json()["status"] == "stored"
