"""Git LFS needs a store that keeps checksums: over Ceph 16, which keeps none, a push is refused and nothing stored."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.errors import Code
from tests.gateways import calling, make_app
from tests.protocols.lfs_flow import TENANTS, Blob, ask, assert_refused, put, verify
from tests.servers.s3 import S3Server

BLOB = Blob(b"bytes that only this test pushes")


@pytest.fixture
async def client(ceph: S3Server) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(make_app(ceph, tenants=TENANTS)) as client:
        yield client


async def test_what_the_store_cannot_prove_to_be_its_oid_is_neither_stored_nor_served(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient
) -> None:
    (told,) = await ask(client, "upload", BLOB)
    assert (await put(bucket, told, BLOB.body)).status_code == 200
    assert_refused(await verify(client, told), Code.CONTENT_MISMATCH, status=409)
    (told,) = await ask(client, "download", BLOB)
    assert told["error"]["code"] == 404
