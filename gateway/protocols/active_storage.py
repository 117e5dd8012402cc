"""Active Storage's direct uploads: what `@rails/activestorage` asks of Rails, answered by the gateway's own use cases.

https://guides.rubyonrails.org/active_storage_overview.html#direct-uploads and the sources of the package, 8.1. It sends
the MD5 of the file, which is signed into the PUT; `sha256:` before it names the SHA-256 instead. The ticket is the
`signed_id` that the form submits: whoever takes the form completes the upload with it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from gateway.errors import Code, Refusal
from gateway.grants.policies import Policy
from gateway.http.route import Authenticated
from gateway.http.schemas import rfc3339
from gateway.protocols.dialects import DialectRoute, routes, spoken_policy
from gateway.protocols.wishes import Wish, content_type_of, fitting

ACTIVE_STORAGE = "active-storage"
SERVICE_NAME = "gateway"  # Rails' name for where blobs lie
_POLICY = "policy"  # the entry of the metadata that names one
_SHA256 = "sha256:"

router = APIRouter(route_class=DialectRoute)


class _Body(BaseModel):
    """Strict about what counts, and deaf to what another version of Rails may add."""

    model_config = ConfigDict(strict=True, frozen=True)


class WantedBlob(_Body):
    """A file as the package announces it."""

    filename: Annotated[str, Field(max_length=4096)]
    content_type: Annotated[str, Field(max_length=255)] | None = None
    byte_size: Annotated[int, Field(ge=0)]
    checksum: Annotated[str, Field(max_length=64)]
    metadata: dict[str, Any] | None = None

    @property
    def policy(self) -> str | None:
        """The policy that the page names in the metadata."""
        named = (self.metadata or {}).get(_POLICY)
        return named if isinstance(named, str) else None

    def wish(self, policy: Policy) -> Wish:
        """Return the wish under a policy; of the metadata what is text."""
        pairs = {name: text for name, text in (self.metadata or {}).items() if isinstance(text, str)}
        pairs.pop(_POLICY, None)
        content_type = content_type_of(self.filename, self.content_type or "", policy)
        sha256 = self.checksum.removeprefix(_SHA256) if self.checksum.startswith(_SHA256) else None
        md5 = self.checksum if sha256 is None else None
        return Wish(self.filename, content_type, fitting(pairs), self.byte_size, sha256, md5)


class DirectUploadRequest(_Body):
    """The body of the one request."""

    blob: WantedBlob


class DirectUpload(TypedDict):
    """The presigned PUT, with exactly the headers to send."""

    url: str
    headers: Mapping[str, str]


class Blob(TypedDict):
    """The record of a blob as Rails writes it; here nothing is recorded before the upload is completed."""

    id: str
    key: str
    filename: str
    content_type: str
    metadata: Mapping[str, str]
    service_name: str
    byte_size: int
    checksum: str
    created_at: str
    signed_id: str
    direct_upload: DirectUpload


@routes(router, "POST", "/rails/active_storage/direct_uploads")
async def create_direct_upload(call: Authenticated, wanted: DirectUploadRequest) -> Blob:
    """Give a blob and the presigned PUT for its bytes."""
    blob = wanted.blob
    policy = spoken_policy(call, ACTIVE_STORAGE, blob.policy)
    wish = blob.wish(policy)
    if policy.checksum == "required" and wish.checksum_sha256 is None:
        raise Refusal(Code.CHECKSUM_REQUIRED, "This policy asks for a SHA-256 (base64, after 'sha256:'), not an MD5.")
    grant = await call.grant(policy, wish, name=call.gateway.random_name())
    ticket, put = await call.put_object(grant, expires_in=policy.put_expires_in)
    return {
        "id": grant.key.name,
        "key": grant.key.key,
        "filename": grant.filename.text,
        "content_type": grant.content_type,
        "metadata": grant.metadata,
        "service_name": SERVICE_NAME,
        "byte_size": grant.size,
        "checksum": blob.checksum,
        "created_at": rfc3339(call.now),
        "signed_id": ticket,
        "direct_upload": {"url": put.url, "headers": put.headers},
    }
