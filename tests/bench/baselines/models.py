"""The bodies of POST /v1/uploads and POST /v1/links, as any FastAPI application would declare them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Wanted(BaseModel):
    """What comes in is strict, as in the gateway."""

    model_config = ConfigDict(strict=True, extra="forbid")


class UploadRequest(Wanted):
    """What a client wants to upload."""

    filename: Annotated[str, Field(max_length=4096)]
    content_type: Annotated[str, Field(max_length=255)]
    size: Annotated[int, Field(ge=0)] | None = None
    checksum_sha256: Annotated[str, Field(max_length=64)] | None = None
    part_checksums: bool = False
    policy: Annotated[str, Field(max_length=63)] = "default"
    metadata: dict[str, str] | None = None
    on_behalf_of: Annotated[str, Field(max_length=256)] | None = None


class WantedLink(Wanted):
    """One link of a batch."""

    key: Annotated[str, Field(max_length=1024)]
    filename: Annotated[str, Field(max_length=4096)] | None = None
    disposition: Literal["inline", "attachment"] = "attachment"
    expires_in: Annotated[int, Field(ge=60)] | None = None


class LinksRequest(Wanted):
    """A batch of links."""

    links: Annotated[list[WantedLink], Field(min_length=1, max_length=1000)]
    via: Literal["redirect", "direct"] = "redirect"


class Upload(BaseModel):
    """A presigned PUT."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: str


class Part(BaseModel):
    """A presigned part."""

    part_number: int
    size: int | None
    method: str
    url: str
    headers: dict[str, str]
    expires_at: str


class Multipart(BaseModel):
    """How a large file is divided."""

    part_size: int
    part_count: int | None
    parts: list[Part]
    parts_url: str


class Ticket(BaseModel):
    """The answer to POST /v1/uploads."""

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


class Linked(BaseModel):
    """A link of a batch."""

    key: str
    url: str
    expires_at: str | None


class Links(BaseModel):
    """A batch of links."""

    links: list[Linked]
