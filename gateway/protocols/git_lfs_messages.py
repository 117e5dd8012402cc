"""How Git LFS writes: its media type, its bodies and errors, and Basic credentials beside Bearer ones."""

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from gateway.errors import Code, Refusal
from gateway.http.calls import Call
from gateway.http.guard import BODY
from gateway.http.heads import FIELDS
from gateway.http.route import refusal_of
from gateway.http.schemas import MAX_EXACT
from gateway.protocols.dialects import DialectRoute

MEDIA_TYPE = "application/vnd.git-lfs+json"
MAX_OBJECTS = 1000  # in one batch; git-lfs sends 100, unless lfs.transfer.batchSize says otherwise
MAX_TRANSFERS = 16  # that a client knows; git-lfs 3.3 names three
_MEDIA_TYPE = re.compile(
    rb"application/vnd\.git-lfs\+json[ \t]*(?:;[ \t]*charset=(?:utf-8|\"utf-8\")[ \t]*)?", re.IGNORECASE
)
_OID = re.compile(r"[0-9a-f]{64}").fullmatch
_REALM = 'Basic realm="Git LFS: any name, and an API key, a JWT or a pass as password"'
_UNPROCESSABLE, _CONFLICT = 422, 409


class _Body(BaseModel):
    """Strict about what counts, and deaf to what another version of git-lfs may add."""

    model_config = ConfigDict(strict=True, frozen=True)


def _in_json(said: object) -> object:
    """Refuse the numbers that pydantic reads and RFC 8259 does not have, and those too large for a float."""
    if isinstance(said, float) and not math.isfinite(said):
        raise ValueError
    return said


_Said = Annotated[Any, AfterValidator(_in_json)]


class NamedObject(_Body):
    """What is said of an object. Whether it is one is answered for each by itself."""

    oid: _Said = None
    size: _Said = None


class Batch(_Body):
    """What one push or pull is about."""

    operation: Literal["upload", "download"]
    objects: Annotated[list[NamedObject], Field(max_length=MAX_OBJECTS)]
    transfers: Annotated[list[str] | None, Field(max_length=MAX_TRANSFERS)] = None
    hash_algo: str = "sha256"


class Verification(_Body):
    """That an object was sent."""

    oid: str
    size: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of a batch: its id, the SHA-256 in hexadecimal, and its size in bytes."""

    oid: str
    size: int
    well_formed: bool

    @classmethod
    def of(cls, named: NamedObject) -> "Wanted":
        """Take what is said of it, as far as it can be said again."""
        size, text = named.size, named.oid if isinstance(named.oid, str) else ""
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_EXACT:
            return cls(text, 0, well_formed=False)
        return cls(text, size, well_formed=_OID(text) is not None)

    @property
    def checksum_sha256(self) -> str:
        """The id in base64, as S3 writes checksums."""
        return base64.b64encode(bytes.fromhex(self.oid)).decode()


_Read = TypeVar("_Read", bound=_Body)


def read(call: Call, model: type[_Read]) -> _Read:
    """Read the body; raises `unsupported-media-type`, `invalid-request`, and `payload-too-large` of a long batch."""
    if _MEDIA_TYPE.fullmatch(call.scope[FIELDS].get(b"content-type", b"")) is None:
        raise Refusal(Code.UNSUPPORTED_MEDIA_TYPE, f"Send the body as 'Content-Type: {MEDIA_TYPE}' in UTF-8.")
    try:
        return model.model_validate_json(call.scope.get(BODY, b""))
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> Refusal:
    # The lengths of Batch bound these errors: pydantic reads no list on that is too long, and of that tells no more.
    told = error.errors(include_url=False, include_context=False, include_input=False)
    if any((each["type"], each["loc"]) == ("too_long", ("objects",)) for each in told):
        return Refusal(Code.PAYLOAD_TOO_LARGE, f"Ask for at most {MAX_OBJECTS} objects at once.")
    return refusal_of(error)


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer in the media type of Git LFS."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, headers, MEDIA_TYPE)


def failure(request_id: str, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer an error of a whole request."""
    return answer({"message": message, "request_id": request_id}, status, headers)


class LfsRoute(DialectRoute):
    """Takes Basic credentials, of which the password counts, and answers refusals as git-lfs shows them."""

    def authorization(self, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        scheme, _, encoded = fields.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"basic":
            return fields
        try:
            _, _, password = base64.b64decode(encoded.strip(b" "), validate=True).partition(b":")
        except ValueError:
            return fields  # which nobody takes for credentials
        return {**fields, b"authorization": b"Bearer " + password}

    def refused(self, refusal: Refusal, request_id: str) -> Response:
        headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
        if refusal.code is Code.UNAUTHENTICATED:
            # The one for git-lfs, and the one that RFC 9110 asks for, at which no browser asks for a password.
            headers |= {"lfs-authenticate": _REALM, "www-authenticate": "Bearer"}
        return failure(request_id, self.status(refusal.code.status), refusal.detail, headers)

    def status(self, status: int) -> int:
        """Return the status of a refusal on this route."""
        return status


class VerifyRoute(LfsRoute):
    """Answers 409 for 422: git-lfs 3.3 takes a 422 after its PUT for a complaint about the type, and pushes on."""

    def status(self, status: int) -> int:
        return _CONFLICT if status == _UNPROCESSABLE else status
