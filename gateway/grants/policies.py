"""Policies: named limits on an upload, and the grant they give. What no policy allows is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from gateway.content.filenames import Filename
from gateway.content.media_types import MediaType, check_extension, parse_media_type
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.principals import PRINCIPAL_BYTES, Action, Principal, is_principal_name

MAX_SINGLE_PUT = 5 * 1024**3  # bytes; Amazon S3 user guide, "Uploading objects"
MULTIPART_FROM = 100 * 2**20  # bytes, where AWS advises to "consider using multipart uploads"
LINK_EXPIRES_IN = 86_400  # seconds
# Base64 of 32 and of 16 bytes; the last letter carries unused bits, and the bucket compares text: one spelling counts.
_SHA256 = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_MD5 = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
METADATA_PAIRS = 10
METADATA_BYTES = 512


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be granted within `window` seconds: so many uploads, and so many bytes in all; None for any number."""

    uploads: int | None
    size: int | None
    window: int

    def takes(self, uploads: int, size: int) -> bool:
        """Whether so many uploads, of `size` bytes in all, can be granted within one window."""
        return (self.uploads is None or uploads <= self.uploads) and (self.size is None or size <= self.size)


@dataclass(frozen=True, slots=True)
class Policy:
    """Sizes in bytes, lifetimes in seconds. `media_types` holds what may be uploaded, by name.

    `protocols` are the dialects beside our own that may be spoken under this policy. With `scan` nothing is promoted
    that the scanner has not called clean.
    """

    name: str
    media_types: Mapping[str, MediaType]
    max_size: int
    min_size: int = 1
    checksum: Literal["optional", "required"] = "optional"
    inline: bool = True
    put_expires_in: int = 900
    ticket_expires_in: int = 3600
    link_expires_in: int = LINK_EXPIRES_IN
    multipart_from: int = MULTIPART_FROM
    multipart_expires_in: int = 86_400
    protocols: frozenset[str] = frozenset()
    scan: bool = False
    quota: Quota | None = None

    def divides(self, size: int | None) -> bool:
        """Whether that many bytes go in parts; bytes that nobody has counted yet do."""
        return size is None or size >= self.multipart_from

    def narrowed(self, principal: Principal) -> "Policy":
        """Return what is left of this policy within the principal's own limits."""
        limits = principal.limits
        if limits.max_size is None and limits.content_types is None:
            return self
        return replace(
            self,
            media_types={
                name: media_type
                for name, media_type in self.media_types.items()
                if limits.content_types is None or name in limits.content_types
            },
            max_size=self.max_size if limits.max_size is None else min(self.max_size, limits.max_size),
        )


@dataclass(frozen=True, slots=True)
class Tenant:
    """One application: its policies, and what its links may be."""

    name: str
    policies: Mapping[str, Policy] = field(default_factory=dict)
    link_epoch: int = 0
    unlimited_links: bool = False

    def policy_for(self, principal: Principal, name: str) -> Policy:
        """Return the policy as far as the principal may use it; raises `policy-unknown` or `forbidden`."""
        policy = self.policies.get(name)
        if policy is None:
            raise Refusal(Code.POLICY_UNKNOWN)
        if name not in principal.policies:
            raise Refusal(Code.FORBIDDEN, "These credentials do not allow that policy.")
        return policy.narrowed(principal)

    def link_expires_in(self, policy: str) -> int:
        """Return how long a link to an object of that policy lives, in seconds, where nothing else is asked."""
        return self.policies[policy].link_expires_in if policy in self.policies else LINK_EXPIRES_IN

    def policies_for(self, principal: Principal) -> list[Policy]:
        """List the policies that the principal may use, in the order of the configuration."""
        return [policy.narrowed(principal) for name, policy in self.policies.items() if name in principal.policies]


@dataclass(frozen=True, slots=True)
class Grant:
    """A policy's yes: who may store exactly which bytes under which key. Made by `allow`, or by opening a token.

    `size` in bytes is exact, or what they may be at most, and `at_least` then the least; checksums are base64, times
    seconds since the epoch. With `scan` they are never stored without the scanner's word, whatever policies say later.
    """

    principal: str
    key: ObjectKey
    content_type: str
    size: int
    checksum_sha256: str | None
    filename: Filename
    metadata: Mapping[str, str]
    issued_at: int
    expires_at: int
    exact: bool = True
    content_md5: str | None = None
    at_least: int = 0
    scan: bool = False


class Wish(Protocol):
    """What a caller asks to upload, as it was sent: `size` in bytes if it is known, checksums in base64."""

    @property
    def filename(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def checksum_sha256(self) -> str | None: ...
    @property
    def content_md5(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, str] | None: ...
    @property
    def on_behalf_of(self) -> str | None: ...


def allow(  # noqa: PLR0913 - who, under what, which bytes, where and until when
    principal: Principal,
    policy: Policy,
    wish: Wish,
    *,
    name: str,
    now: int,
    multipart: bool = False,
    upload_name: str = "",
) -> Grant:
    """Judge the wish by the policy; `name` is that of the key. Raises the refusal that fits.

    In a multipart upload S3 verifies parts: a checksum of the whole is not granted, since nobody would hold it.
    """
    principal.require(Action.UPLOAD)
    media_type = _media_type(policy, wish.content_type)
    filename = Filename.parse(wish.filename)
    check_extension(media_type, filename)
    _check_size(policy, wish.size, multipart=multipart)
    if policy.checksum == "required" and wish.checksum_sha256 is None and not multipart:
        raise Refusal(Code.CHECKSUM_REQUIRED)
    return Grant(
        acting_as(principal, wish.on_behalf_of),
        ObjectKey(principal.tenant, policy.name, name, media_type.extensions[0], upload_name),
        media_type.name,
        policy.max_size if wish.size is None else wish.size,
        None if wish.checksum_sha256 is None or multipart else check_sha256(wish.checksum_sha256),
        filename,
        _metadata(wish.metadata) if wish.metadata else {},
        now,
        now + (policy.multipart_expires_in if multipart else policy.ticket_expires_in),
        wish.size is not None,
        None if wish.content_md5 is None or multipart else _content_md5(wish.content_md5),
        policy.min_size if wish.size is None else 0,
        policy.scan,
    )


def acting_as(principal: Principal, name: str | None) -> str:
    """Return on whose behalf the call is recorded; raises `forbidden` or `invalid-request`."""
    if name is None:
        return principal.name
    if not principal.on_behalf_of and name != principal.name:
        raise Refusal(Code.FORBIDDEN, "These credentials may not act on behalf of someone else.")
    if not is_principal_name(name):
        raise Refusal(Code.INVALID_REQUEST, f"A principal is 1 to {PRINCIPAL_BYTES} bytes of printable text.")
    return name


def _media_type(policy: Policy, content_type: str) -> MediaType:
    media_type = parse_media_type(content_type)
    if media_type.name not in policy.media_types:
        raise Refusal(Code.TYPE_NOT_ALLOWED)
    return media_type


def _check_size(policy: Policy, size: int | None, *, multipart: bool) -> None:
    if size is None:
        if policy.max_size < 1:
            raise Refusal(Code.TOO_LARGE, "This policy takes no bytes.")
        return
    largest = policy.max_size if multipart else min(policy.max_size, MAX_SINGLE_PUT)
    if size > largest:
        raise Refusal(Code.TOO_LARGE, f"This policy takes files of at most {largest} bytes.")
    if size < policy.min_size:
        raise Refusal(Code.INVALID_REQUEST, f"This policy takes files of at least {policy.min_size} bytes.")


def check_sha256(text: str) -> str:
    """Pass the base64 of a SHA-256; raises `invalid-request`."""
    if _SHA256.fullmatch(text) is None:
        raise Refusal(Code.INVALID_REQUEST, "checksum_sha256 is the base64 of the 32 bytes of a SHA-256.")
    return text


def _content_md5(text: str) -> str:
    if _MD5.fullmatch(text) is None:
        raise Refusal(Code.INVALID_REQUEST, "The checksum is the base64 of the 16 bytes of an MD5.")
    return text


def _metadata(pairs: Mapping[str, str]) -> Mapping[str, str]:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in pairs.items())
    if len(pairs) > METADATA_PAIRS or size > METADATA_BYTES:
        raise Refusal(Code.METADATA_TOO_LARGE)
    return pairs
