"""What Uppy and its pages do: ask for a form or for parts, post, put, complete; and tenants that let them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from gateway.errors import Code
from tests.gateways import ALL_TYPES, API_KEY, APP_SECRET, OTHER_API_KEY, OTHER_APP_SECRET, api_key, tenant

MIB = 2**20
PART = 5 * MIB  # bytes, the least that S3 joins
OCTETS = "application/octet-stream"
OFF_KEY = "gwk_eeeeeeee_0123456789abcdef0123456789abcdef"  # whose one policy speaks no dialect
SEVERAL_KEY = "gwk_ffffffff_0123456789abcdef0123456789abcdef"  # several that do, and none of them `default`
SINGLE_KEY = "gwk_gggggggg_0123456789abcdef0123456789abcdef"  # one that does, which is not `default`

_UPPY = {"protocols": ["uppy"]}
POLICIES = {
    "default": {"content_types": [*ALL_TYPES, OCTETS], "max_size": 40 * MIB, **_UPPY},
    "small": {"content_types": ["text/plain"], "min_size": 2, "max_size": 1000, **_UPPY},
    "sealed": {"content_types": ["text/plain"], "max_size": 1000, "checksum": "required", **_UPPY},
    "native": {"content_types": ["text/plain"], "max_size": 1000},
}
TENANTS = {
    "default": tenant(
        API_KEY,
        APP_SECRET,
        api_keys=[
            api_key(API_KEY, policies=list(POLICIES), on_behalf_of=True),
            api_key(OFF_KEY, policies=["native"]),
            api_key(SEVERAL_KEY, policies=["small", "sealed", "native"]),
            api_key(SINGLE_KEY, policies=["small", "native"]),
        ],
        policies=POLICIES,
    ),
    "other": tenant(
        OTHER_API_KEY, OTHER_APP_SECRET, policies={"default": {**POLICIES["default"]}, "small": {**POLICIES["small"]}}
    ),
}


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload as Uppy knows it."""

    upload_id: str
    key: str

    def path(self, rest: str = "", *, key: str | None = None) -> str:
        """Return the path of one of its routes, below the endpoint."""
        return f"/s3/multipart/{quote(self.upload_id, safe='')}{rest}?key={quote(key or self.key, safe='')}"


async def form_for(client: httpx.AsyncClient, prefix: str = "", **query: str) -> dict[str, Any]:
    """Ask for the form of a single upload."""
    answer = await client.get(f"{prefix}/s3/params", params={"filename": "notes.txt", "type": "text/plain", **query})
    assert answer.status_code == 200, answer.text
    form: dict[str, Any] = answer.json()
    return form


async def post(
    bucket: httpx.AsyncClient, form: Mapping[str, Any], body: bytes, **changes: str | None
) -> httpx.Response:
    """Post a form with a file, its fields changed; None leaves one out."""
    fields = {name: text for name, text in {**form["fields"], **changes}.items() if text is not None}
    return await bucket.post(form["url"], data=fields, files={"file": ("blob", body, "text/html")})


async def begin(client: httpx.AsyncClient, prefix: str = "", **body: object) -> Begun:
    """Begin a multipart upload."""
    asked = {"filename": "film.bin", "type": OCTETS, "metadata": {"name": "film.bin", "relativePath": None}}
    answer = await client.post(f"{prefix}/s3/multipart", json={**asked, **body})
    assert answer.status_code == 200, answer.text
    return Begun(answer.json()["uploadId"], answer.json()["key"])


async def put_parts(
    client: httpx.AsyncClient, bucket: httpx.AsyncClient, upload: Begun, bodies: Mapping[int, bytes], prefix: str = ""
) -> list[dict[str, Any]]:
    """Sign and send parts; return what a completion says of them."""
    sent = []
    for number, body in bodies.items():
        signed = await client.get(prefix + upload.path(f"/{number}"))
        assert signed.status_code == 200, signed.text
        answer = await bucket.put(signed.json()["url"], content=body)
        assert answer.status_code == 200, answer.text
        sent.append({"PartNumber": number, "ETag": answer.headers["etag"]})
    return sent


async def finish(
    client: httpx.AsyncClient, upload: Begun, parts: Sequence[Mapping[str, object]], prefix: str = ""
) -> httpx.Response:
    """Complete a multipart upload."""
    return await client.post(prefix + upload.path("/complete"), json={"parts": parts})


def assert_refused(answer: httpx.Response, code: Code, detail: str | None = None, *, status: int | None = None) -> None:
    """Compare the whole body of an error with what the table of refusals says."""
    assert (answer.status_code, answer.headers["content-type"]) == (status or code.status, "application/json"), (
        answer.text
    )
    assert answer.json() == {
        "message": detail or code.sentence,
        "error": detail or code.sentence,
        "code": code.code,
        "status": status or code.status,
        "request_id": answer.headers["x-request-id"],
    }
