"""The bodies of the HTTP interface: strict models for what comes in, plain dictionaries for what goes out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from gateway.content.filenames import Disposition
from gateway.grants.app_tokens import MAX_LINK_AGE, MAX_PASS_AGE
from gateway.http.problems import Problem
from gateway.markers import State
from gateway.s3.parts import MAX_PARTS

MAX_EXACT = 2**53 - 1  # the integers that every reader of JSON keeps as they are, RFC 8259 section 6

EMPTY_SHA256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # of no bytes at all, for the examples
EXAMPLE_NAME = "default/default/0123456789abcdef0123456789abcdef.jpg"

MAX_SIGNED = 1000  # parts in one request

Base64Digest = Annotated[str, Field(max_length=64, description="SHA-256, base64", examples=[EMPTY_SHA256])]


class Request(BaseModel):
    """Strict: an unknown field, `true` for 1 or "1" for 1 is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class UploadRequest(Request):
    """What a client wants to upload. Bytes that nobody has counted yet have no size, and go in parts."""

    filename: Annotated[str, Field(max_length=4096, examples=["holiday.jpg"])]
    content_type: Annotated[str, Field(max_length=255, examples=["image/jpeg"])]
    size: Annotated[Annotated[int, Field(ge=0)] | None, Field(description="bytes", examples=[48_211])]
    checksum_sha256: Base64Digest | None = None
    part_checksums: Annotated[bool, Field(description="a SHA-256 comes with every part")] = False
    policy: Annotated[str, Field(max_length=63)] = "default"
    metadata: Annotated[dict[str, str] | None, Field(examples=[{"album": "holidays"}])] = None
    on_behalf_of: Annotated[str, Field(max_length=256)] | None = None

    @property
    def content_md5(self) -> None:
        """None: only other protocols speak of MD5."""


PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS)]
PartName = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}$", description="a part number, in decimal")]


def _each_once(numbers: list[int]) -> list[int]:
    if len(set(numbers)) < len(numbers):
        raise PydanticCustomError("repeated", "a part number came twice")
    return numbers


class PartsRequest(Request):
    """Which parts to presign; what is known of one stands under its number."""

    part_numbers: Annotated[
        list[PartNumber],
        Field(min_length=1, max_length=MAX_SIGNED, json_schema_extra={"uniqueItems": True}, examples=[[1, 2, 3]]),
        AfterValidator(_each_once),
    ]
    checksums_sha256: Annotated[
        dict[PartName, Base64Digest] | None, Field(max_length=MAX_SIGNED, examples=[{"1": EMPTY_SHA256}])
    ] = None
    sizes: Annotated[
        dict[PartName, Annotated[int, Field(ge=1, description="bytes")]] | None,
        Field(max_length=MAX_SIGNED, examples=[{"3": 1_048_576}]),
    ] = None


class CompletedPart(Request):
    """A part that the client has uploaded."""

    part_number: Annotated[PartNumber, Field(examples=[1])]
    etag: Annotated[str, Field(max_length=256, examples=['"d41d8cd98f00b204e9800998ecf8427e"'])]
    checksum_sha256: Base64Digest | None = None


class CompleteRequest(Request):
    """Nothing for a single PUT; the parts of a multipart upload."""

    parts: Annotated[list[CompletedPart], Field(max_length=MAX_PARTS)] | None = None


class CompleteByKeyRequest(Request):
    """For clients that were given an upload key and never a ticket."""

    upload_key: Annotated[str, Field(max_length=1024, examples=[f"incoming/{EXAMPLE_NAME}"])]


class PassRequest(Request):
    """A pass for a browser, narrower than or as wide as its policy."""

    policy: Annotated[str, Field(max_length=63)] = "default"
    principal: Annotated[str, Field(max_length=256)] | None = None
    max_size: Annotated[int, Field(ge=0, le=MAX_EXACT, description="bytes")] | None = None
    content_types: Annotated[list[str], Field(max_length=100, examples=[["image/jpeg", "image/png"]])] | None = None
    expires_in: Annotated[int, Field(ge=60, le=MAX_PASS_AGE, description="seconds")] = 3600


class WantedLink(Request):
    """One link of a batch."""

    key: Annotated[str, Field(max_length=1024, examples=[f"objects/{EXAMPLE_NAME}"])]
    filename: Annotated[str, Field(max_length=4096)] | None = None
    disposition: Disposition = "attachment"
    expires_in: Annotated[int, Field(ge=60, le=MAX_LINK_AGE, description="seconds")] | None = None


class LinksRequest(Request):
    """Up to 1,000 links, by our redirect or straight to the bucket."""

    links: Annotated[list[WantedLink], Field(min_length=1, max_length=1000)]
    via: Literal["redirect", "direct"] = "redirect"


class ListQuery(BaseModel):
    """Which objects to list; `prefix` is relative to the tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: Annotated[str, Field(pattern=r"^[a-z0-9./-]*$", max_length=256, examples=["default/"])] = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(max_length=4096)] | None = None


class Upload(TypedDict):
    """The presigned PUT; `headers` are those the client has to set (content-length is signed, and sent by itself)."""

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: str


class Part(TypedDict):
    """A presigned part of a multipart upload; `size` is None where the client divides as it likes."""

    part_number: int
    size: int | None
    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: str


class Multipart(TypedDict):
    """How a large file is divided; `parts` are the first ones, and `part_count` is None where nobody has counted."""

    part_size: int
    part_count: int | None
    parts: list[Part]
    parts_url: str


class Parts(TypedDict):
    """Presigned parts, in the order asked."""

    parts: list[Part]


class Ticket(TypedDict):
    """What spends a grant: the presigned request, and where to ask and to complete."""

    ticket: str
    key: str
    upload_key: str
    expires_at: str
    server_time: str
    upload: Upload | None
    multipart: Multipart | None
    status_url: str
    complete_url: str
    abort_url: str


class Object(TypedDict):
    """A stored object."""

    key: str
    size: int
    content_type: str
    filename: str
    checksum_sha256: str | None
    checksum_type: Literal["full", "composite"] | None
    etag: str
    principal: str
    metadata: Mapping[str, str]
    stored_at: str


class ArrivedPart(TypedDict):
    """A part that lies in the bucket."""

    part_number: int
    size: int
    etag: str


class Status(TypedDict):
    """Where an upload stands."""

    status: State
    parts: list[ArrivedPart]
    object: Object | None
    receipt: str | None
    link: str | None
    problem: Problem | None
    retry_after: int | None


Pass = TypedDict("Pass", {"pass": str, "expires_at": str})


class Linked(TypedDict):
    """A link of a batch."""

    key: str
    url: str
    expires_at: str | None


class Unlinked(TypedDict):
    """A key that no link can be made for: its form or its tenant is wrong."""

    key: str
    error: str


class Links(TypedDict):
    """A batch of links, in the order asked."""

    links: list[Linked | Unlinked]


class Objects(TypedDict):
    """A page of a listing; `cursor` asks for the next one."""

    objects: list[Object]
    cursor: str | None


class PolicySummary(TypedDict):
    """What a policy takes: sizes in bytes."""

    name: str
    content_types: list[str]
    extensions: list[str]
    max_size: int
    checksum: Literal["optional", "required"]
    multipart_from: int


class Policies(TypedDict):
    """The policies that the caller may use."""

    policies: list[PolicySummary]


class Health(TypedDict):
    """That the process answers, or that it reaches the bucket."""

    status: Literal["alive", "ready"]


@lru_cache(maxsize=64)
def rfc3339(seconds: int) -> str:
    """Write seconds since the epoch as RFC 3339 in UTC, such as `2026-11-21T02:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
