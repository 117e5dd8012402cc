"""Ceph keeps the promises that the tests of Active Storage make: it holds each file to its MD5, length and type."""

import httpx

from tests.ceph.suites import promises_of
from tests.protocols import test_active_storage
from tests.protocols.test_active_storage import app_over, ask, client, strict_client
from tests.servers.s3 import ORIGIN

__all__ = ["app_over", "client", "strict_client"]

globals().update(promises_of(test_active_storage, "client", "strict_client"))


async def test_a_page_may_send_what_a_record_names(client: httpx.AsyncClient, bucket: httpx.AsyncClient) -> None:
    upload = (await ask(client))["direct_upload"]
    asks = {
        "origin": ORIGIN,
        "access-control-request-method": "PUT",
        "access-control-request-headers": ",".join(sorted(upload["headers"], key=str.lower)).lower(),
    }
    answer = await bucket.options(upload["url"], headers=asks)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    refused = await bucket.options(upload["url"], headers={**asks, "origin": "https://evil.example"})
    assert refused.status_code == 403
