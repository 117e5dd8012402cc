"""What git-lfs does: ask for a batch, put, verify, get; and tenants that let it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.errors import Code
from gateway.protocols.git_lfs_messages import MEDIA_TYPE
from tests.gateways import API_KEY, APP_SECRET, OTHER_API_KEY, OTHER_APP_SECRET, api_key, tenant

OCTETS = "application/octet-stream"
PUSH_KEY = "gwk_eeeeeeee_0123456789abcdef0123456789abcdef"  # uploads, and gives out no links
PULL_KEY = "gwk_ffffffff_0123456789abcdef0123456789abcdef"  # gives out links, and does not upload
OFF_KEY = "gwk_gggggggg_0123456789abcdef0123456789abcdef"  # whose one policy does not speak to git-lfs
SEVERAL_KEY = "gwk_hhhhhhhh_0123456789abcdef0123456789abcdef"  # several that do, and none of them `default`
LFS = {"content_types": [OCTETS], "max_size": "20 MiB", "protocols": ["git-lfs"]}
POLICIES = {
    "default": LFS,
    "small": {**LFS, "min_size": 2, "max_size": 1000, "checksum": "required"},
    "pictures": {**LFS, "content_types": ["image/png"]},
    "native": {"content_types": [OCTETS], "max_size": 1000},
    "brief": {**LFS, "quota": {"uploads": 2, "window": 3}},
}
TENANTS = {
    "default": tenant(
        API_KEY,
        APP_SECRET,
        api_keys=[
            api_key(API_KEY, policies=list(POLICIES), on_behalf_of=True),
            api_key(PUSH_KEY, actions=["upload"]),
            api_key(PULL_KEY, actions=["link"]),
            api_key(OFF_KEY, policies=["native"]),
            api_key(SEVERAL_KEY, policies=["small", "pictures"]),
        ],
        policies=POLICIES,
    ),
    "other": tenant(OTHER_API_KEY, OTHER_APP_SECRET, policies={"default": LFS}),
}


@dataclass(frozen=True, slots=True)
class Blob:
    """A file as git-lfs knows it."""

    body: bytes

    @property
    def oid(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def named(self) -> dict[str, Any]:
        """Return how a batch and a verification name it."""
        return {"oid": self.oid, "size": len(self.body)}

    def key(self, tenant: str = "default", policy: str = "default") -> str:
        return f"objects/{tenant}/{policy}/{self.oid}.bin"


async def send(client: httpx.AsyncClient, path: str, body: object, **headers: str) -> httpx.Response:
    """Post a body as git-lfs does."""
    own = {"accept": MEDIA_TYPE, "content-type": f"{MEDIA_TYPE}; charset=utf-8"}
    return await client.post(path, json=body, headers={**own, **headers})


async def ask(
    client: httpx.AsyncClient, operation: str, *blobs: Blob, base: str = "/lfs", **headers: str
) -> list[dict[str, Any]]:
    """Ask for a batch as git-lfs 3.3 does; return what is said of each object."""
    body = {
        "operation": operation,
        "objects": [blob.named for blob in blobs],
        "transfers": ["lfs-standalone-file", "basic", "ssh"],
        "ref": {"name": "refs/heads/main"},
        "hash_algo": "sha256",
    }
    answer = await send(client, f"{base}/objects/batch", body, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA_TYPE), answer.text
    told = answer.json()
    objects: list[dict[str, Any]] = told.pop("objects")
    assert told == {"transfer": "basic", "hash_algo": "sha256"}
    return objects


async def put(bucket: httpx.AsyncClient, told: Mapping[str, Any], body: bytes, **more: str) -> httpx.Response:
    """Send the bytes to the bucket with exactly the headers of the action."""
    action = told["actions"]["upload"]
    return await bucket.put(action["href"], content=body, headers={**action["header"], **more})


async def verify(client: httpx.AsyncClient, told: Mapping[str, Any], **changes: object) -> httpx.Response:
    """Say that the bytes are there."""
    named = {"oid": told["oid"], "size": told["size"], **changes}
    return await send(client, told["actions"]["verify"]["href"], named)


async def push(client: httpx.AsyncClient, bucket: httpx.AsyncClient, blob: Blob, base: str = "/lfs") -> None:
    """Push one file."""
    (told,) = await ask(client, "upload", blob, base=base)
    assert (await put(bucket, told, blob.body)).status_code == 200
    answer = await verify(client, told)
    assert (answer.status_code, answer.json()) == (200, {}), answer.text


def assert_refused(answer: httpx.Response, code: Code, detail: str | None = None, *, status: int | None = None) -> None:
    """Compare the whole body of an error, in the media type of Git LFS, with what the table of refusals says."""
    assert (answer.status_code, answer.headers["content-type"]) == (status or code.status, MEDIA_TYPE), answer.text
    assert answer.json() == {"message": detail or code.sentence, "request_id": answer.headers["x-request-id"]}
