"""The one table of refusals: each expected error, its status, and a sentence that tells the reader what to do."""

from enum import Enum


class Code(Enum):
    """Every expected error, as `(code, status, sentence)`; the code is part of the HTTP interface and never changes."""

    UNAUTHENTICATED = "unauthenticated", 401, "Send a valid API key, JWT or pass as 'Authorization: Bearer …'."
    FORBIDDEN = "forbidden", 403, "These credentials do not allow that action or policy."
    NOT_FOUND = "not-found", 404, "There is nothing here, or not for you, or no longer."
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "Use one of the methods that the Allow header names."
    REQUEST_TIMEOUT = "request-timeout", 408, "The request did not arrive in time: send it again."
    NOT_UPLOADED = (
        "not-uploaded",
        409,
        "No upload has arrived under this ticket in time: upload first, or ask for a new ticket.",
    )
    CONTENT_CHANGED = (
        "content-changed",
        409,
        "The upload changed while it was being proved: ask for its status and try again.",
    )
    ALREADY_STORED = "already-stored", 409, "The upload is stored already: delete the object instead."
    PAYLOAD_TOO_LARGE = (
        "payload-too-large",
        413,
        "Send a request body of at most 64 KiB, 1 MiB of links or 2 MiB of parts; files go to the bucket, not here.",
    )
    URI_TOO_LONG = "uri-too-long", 414, "Send a shorter request target."
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported-media-type",
        415,
        "Send the body as 'Content-Type: application/json' in UTF-8.",
    )
    BAD_REQUEST = "bad-request", 400, "The request cannot be understood as HTTP for this host."
    INVALID_REQUEST = "invalid-request", 422, "The request body or parameters are not as documented."
    POLICY_UNKNOWN = "policy-unknown", 422, "Name a policy that GET /v1/policies lists."
    TYPE_NOT_ALLOWED = "type-not-allowed", 422, "Choose a content type that the policy lists."
    EXTENSION_MISMATCH = "extension-mismatch", 422, "Give the filename an extension that belongs to the content type."
    TOO_LARGE = "too-large", 422, "Keep the size within the policy's limits."
    CHECKSUM_REQUIRED = "checksum-required", 422, "Send the file's SHA-256 as checksum_sha256 (base64)."
    INVALID_FILENAME = (
        "invalid-filename",
        422,
        "Send a filename with at least one visible character and at most 255 bytes of UTF-8.",
    )
    METADATA_TOO_LARGE = "metadata-too-large", 422, "Send at most 10 metadata pairs of at most 512 bytes in all."
    SIZE_MISMATCH = (
        "size-mismatch",
        422,
        "The bytes that arrived are not as many as were granted: upload again under a new ticket.",
    )
    CONTENT_MISMATCH = (
        "content-mismatch",
        422,
        (
            "The bytes are not of the declared type or checksum (perhaps none at all, damaged, or an archive with "
            "unsafe names): upload again under a new ticket that names the true one."
        ),
    )
    ACTIVE_CONTENT = (
        "active-content",
        422,
        (
            "The bytes hold script, markup, macros or actions that a reader could run: remove them and upload again "
            "under a new ticket."
        ),
    )
    ARCHIVE_TOO_LARGE = (
        "archive-too-large",
        422,
        (
            "The archive unpacks to more than is accepted, holds another archive, or hides what it unpacks to: upload "
            "its files one by one."
        ),
    )
    INFECTED = (
        "infected",
        422,
        "The scanner found malware in the upload, or could not look into it for a password.",
    )
    TOO_MANY_REQUESTS = "too-many-requests", 429, "Wait as long as the Retry-After header says, then try again."
    HEADERS_TOO_LARGE = "headers-too-large", 431, "Send fewer or shorter request headers."
    STORAGE_UNAVAILABLE = (
        "storage-unavailable",
        503,
        "The object storage does not answer: try again as the Retry-After header says.",
    )
    SCANNER_UNAVAILABLE = (
        "scanner-unavailable",
        503,
        "The scanner does not answer: try again as the Retry-After header says.",
    )
    INSECURE_STORAGE = (
        "insecure-storage",
        503,
        (
            "This page is on https but the public storage endpoint is http, which a browser would block: "
            "the operator has to give GATEWAY_PUBLIC_STORAGE_ENDPOINT an https address."
        ),
    )

    def __init__(self, code: str, status: int, sentence: str) -> None:
        self.code = code
        self.status = status
        self.sentence = sentence


CODES = {code.code: code for code in Code}


class Refusal(Exception):  # noqa: N818 - the word of docs/architecture.md for an expected error
    """An expected, coded error (RFC 9457). `detail` never repeats input, keys, buckets or endpoints."""

    def __init__(self, code: Code, detail: str | None = None, *, retry_after: int | None = None) -> None:
        """Keep `detail` (the table's sentence unless given) and `retry_after` in seconds."""
        super().__init__(code.code)
        self.code = code
        self.detail = detail or code.sentence
        self.retry_after = retry_after
