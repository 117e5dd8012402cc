"""The signer's promises: AWS's published vectors at each step, botocore's signatures, no life past its limits."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.utils import percent_encode
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, Refusal
from gateway.s3.sigv4 import (
    Credentials,
    Signer,
    canonical_headers,
    canonical_request,
    encode_path,
    lifetime,
    signing_key,
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, "Example"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AWS_EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)
AWS_NOW = 1_369_353_600  # 2013-05-24T00:00:00Z
AWS_HOST = "examplebucket.s3.amazonaws.com"
AWS_QUERY = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
)
AWS_CANONICAL_REQUEST = f"GET\n/test.txt\n{AWS_QUERY}\nhost:{AWS_HOST}\n\nhost\nUNSIGNED-PAYLOAD"
AWS_STRING_TO_SIGN = (
    "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
    "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"
)
AWS_SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


@pytest.fixture
def aws_signer() -> Signer:
    return Signer(AWS_EXAMPLE, "us-east-1", AWS_NOW)


def test_the_canonical_request_is_the_one_aws_publishes(aws_signer: Signer) -> None:
    lines, names = canonical_headers(AWS_HOST, [])
    query = aws_signer.canonical_query([], names, 86_400)
    assert canonical_request("GET", "/test.txt", query, lines, names) == AWS_CANONICAL_REQUEST


def test_the_string_to_sign_is_the_one_aws_publishes(aws_signer: Signer) -> None:
    assert aws_signer.string_to_sign(AWS_CANONICAL_REQUEST) == AWS_STRING_TO_SIGN


def test_the_signing_key_is_the_one_aws_publishes() -> None:
    # https://docs.aws.amazon.com/general/latest/gr/signature-v4-examples.html, "Derive a signing key"
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam")
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def test_the_signature_is_the_one_aws_publishes(aws_signer: Signer) -> None:
    assert aws_signer.signature(AWS_STRING_TO_SIGN) == AWS_SIGNATURE


@pytest.mark.threat(17)
def test_the_presigned_query_is_the_one_aws_publishes(aws_signer: Signer) -> None:
    query = aws_signer.presign("GET", AWS_HOST, "/test.txt", [], [], 86_400)
    assert query == f"{AWS_QUERY}&X-Amz-Signature={AWS_SIGNATURE}"


def test_a_signer_signs_alike_however_often_it_is_used(aws_signer: Signer) -> None:
    queries = {aws_signer.presign("GET", AWS_HOST, "/test.txt", [], [], 86_400) for _ in range(3)}
    assert queries == {f"{AWS_QUERY}&X-Amz-Signature={AWS_SIGNATURE}"}


def test_an_empty_path_is_the_root(aws_signer: Signer) -> None:
    assert aws_signer.presign("GET", AWS_HOST, "", [], [], 60) == aws_signer.presign("GET", AWS_HOST, "/", [], [], 60)


def test_the_query_is_sorted_by_encoded_name_and_then_by_value(aws_signer: Signer) -> None:
    extra = [
        ("versionId", "b c"),
        ("versionId", "a/b"),
        ("a-b", ""),
        ("a", "~"),
        ("X-Amz-Checksum-Mode", "é"),
        ("é", "1"),
    ]
    assert aws_signer.canonical_query(extra, "host;x-amz-acl", 60) == (
        "%C3%A9=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Checksum-Mode=%C3%A9"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-amz-acl&a=~&a-b=&versionId=a%2Fb&versionId=b%20c"
    )


def test_headers_are_sorted_trimmed_and_folded() -> None:
    headers = [("x-amz-meta-a", "  two   words\t "), ("content-type", "image/png"), ("if-none-match", "*")]
    assert canonical_headers("localhost:9000", headers) == (
        "content-type:image/png\nhost:localhost:9000\nif-none-match:*\nx-amz-meta-a:two words\n",
        "content-type;host;if-none-match;x-amz-meta-a",
    )


def test_a_line_break_in_a_header_begins_no_header_of_its_own() -> None:
    lines, names = canonical_headers("h", [("x-amz-meta-a", "1\r\nx-amz-acl:public-read")])
    assert (lines, names) == ("host:h\nx-amz-meta-a:1 x-amz-acl:public-read\n", "host;x-amz-meta-a")


def test_a_session_token_is_part_of_the_signed_query() -> None:
    signer = Signer(Credentials("AKID", "secret", "to/ken+=="), "eu-west-3", AWS_NOW)
    assert signer.canonical_query([], "host", 60) == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20130524%2Feu-west-3%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-Security-Token=to%2Fken%2B%3D%3D&X-Amz-SignedHeaders=host"
    )


# Against botocore: its own class, which is pure Python also where an installed awscrt replaces the one it would choose.


class Request(NamedTuple):
    """One request to presign, by us and by botocore."""

    credentials: Credentials
    region: str
    now: int
    method: str
    scheme: str
    host: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    expires_in: int


AWKWARD = [
    *" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\t\n\r\0\x7f",
    *("%20", "%2F", "%", "+", "..", "/../", "/./", "//", "=", "&", ";"),
    *(
        "é",
        "e\u0301",
        "ß",
        "Ω",
        "漢字",
        "\u202e",
        "\u200b",
        "\ufeff",
        "\xa0",
        "\U0001f3d6\ufe0f",
        "\U0001f468\u200d\U0001f469",
        "\U0010ffff",
    ),
    *("a", "Z", "0", "photo", "objects/", ".png"),
]
QUERY_NAMES = [
    "response-content-type",
    "response-content-disposition",
    "partNumber",
    "uploadId",
    "versionId",
    "x-id",
    "A",
]
QUERY_NAMES += [
    "X-Amz-Checksum-Mode",
    "X-Amz-SignedHeadersA",
    "x-amz-acl",
    "a-b",
    "a",
    "a.b",
    "é",
    "ключ",
    "with space",
    "~",
]
HEADER_NAMES = [
    "content-length",
    "content-type",
    "if-none-match",
    "x-amz-checksum-sha256",
    "x-amz-sdk-checksum-algorithm",
]
HEADER_NAMES += ["x-amz-meta-grant", "x-amz-meta-a", "x-amz-meta-a-b", "content-md5", "cache-control", "a", "z"]
HOSTS = {
    "virtual": [
        "bkt.s3.eu-central-1.amazonaws.com",
        "a-b.c.s3.amazonaws.com",
        "bkt.s3.dualstack.us-west-2.amazonaws.com",
    ],
    "path": ["s3.eu-central-1.amazonaws.com", "s3.amazonaws.com"],
    "custom": ["127.0.0.1:4566", "s3.example.test:9000", "bkt.localhost:14580", "[::1]:9000", "minio"],
}


def text(rng: random.Random, longest: int) -> str:
    """Up to `longest` awkward pieces and, sometimes, any other code point."""
    pieces = [rng.choice(AWKWARD) for _ in range(rng.randint(0, longest))]
    if rng.random() < 0.3:
        pieces.append(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])))
    rng.shuffle(pieces)
    return "".join(pieces)


def requests(style: str, count: int) -> Iterator[Request]:
    """Generate the same requests at every run."""
    rng = random.Random(style)  # noqa: S311 - repeatable, nothing secret
    for _ in range(count):
        key = text(rng, 12)
        yield Request(
            Credentials(text(rng, 6), text(rng, 10), rng.choice([None, "", text(rng, 20)])),
            rng.choice(["us-east-1", "eu-central-1", "cn-north-1", "auto"]),
            rng.randrange(946_684_800, 4_102_444_800),  # the years 2000 to 2099
            rng.choice(["GET", "PUT", "HEAD", "POST", "DELETE"]),
            "http" if style == "custom" else "https",
            rng.choice(HOSTS[style]),
            key if style == "virtual" else f"bkt/{key}",
            {name: text(rng, 8) for name in rng.sample(QUERY_NAMES, rng.randint(0, 5))},
            {name: text(rng, 8) for name in rng.sample(HEADER_NAMES, rng.randint(0, 6))},
            rng.randint(1, 604_800),
        )


def presigned_by_us(request: Request) -> str:
    signer = Signer(request.credentials, request.region, request.now)
    path = "/" + encode_path(request.key)
    query = signer.presign(
        request.method, request.host, path, request.query.items(), request.headers.items(), request.expires_in
    )
    return f"{request.scheme}://{request.host}{path}?{query}"


def presigned_by_botocore(request: Request, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(request.now, UTC))
    ours = request.credentials
    theirs = BotocoreCredentials(ours.access_key_id, ours.secret_access_key, ours.session_token or None)
    path = percent_encode(request.key, safe="/~")  # as botocore writes keys into paths
    url = f"{request.scheme}://{request.host}/{path}"
    aws_request = AWSRequest(request.method, url, headers=request.headers, params=dict(request.query))
    S3SigV4QueryAuth(theirs, "s3", request.region, expires=request.expires_in).add_auth(aws_request)
    return str(aws_request.url)


def parsed(url: str) -> tuple[str, str, list[tuple[str, str]]]:
    """Split into what has to be equal byte by byte, and the parameters in one order."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parts.fragment, sorted(pairs)


@pytest.mark.threat(17)
@pytest.mark.parametrize("style", sorted(HOSTS))
def test_thousands_of_presigned_requests_equal_those_of_botocore(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert S3SigV4QueryAuth.__module__ == "botocore.auth"
    for request in requests(style, 2_000):
        assert parsed(presigned_by_us(request)) == parsed(presigned_by_botocore(request, monkeypatch)), request


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_encoded_path_is_botocores_and_decodes_to_the_key(key: str) -> None:
    encoded = encode_path(key)
    assert encoded == percent_encode(key, safe="/~")
    assert unquote(encoded, errors="strict") == key


def test_a_path_keeps_slashes_dot_segments_and_unreserved_characters() -> None:
    key = "a//b/../c/./~-._ +%é\U0001f3d6*'"
    assert encode_path(key) == "a//b/../c/./~-._%20%2B%25%C3%A9%F0%9F%8F%96%2A%27"


# Lifetimes


@pytest.mark.threat(18)
@pytest.mark.parametrize("expires_in", [-1, 0, 604_801, 10**9])
def test_nothing_is_signed_for_less_than_a_second_or_more_than_seven_days(aws_signer: Signer, expires_in: int) -> None:
    with pytest.raises(ValueError, match="expires_in"):
        aws_signer.presign("GET", AWS_HOST, "/", [], [], expires_in)


@pytest.mark.parametrize("expires_in", [1, 604_800])
def test_one_second_and_seven_days_can_be_signed(aws_signer: Signer, expires_in: int) -> None:
    assert f"X-Amz-Expires={expires_in}&" in aws_signer.presign("GET", AWS_HOST, "/", [], [], expires_in)


@pytest.mark.threat(18, 50)
def test_nothing_is_signed_past_the_credentials_own_expiry() -> None:
    signer = Signer(Credentials("AKID", "secret", "token", AWS_NOW + 900), "us-east-1", AWS_NOW)
    assert "X-Amz-Expires=900&" in signer.presign("GET", AWS_HOST, "/", [], [], 900)
    with pytest.raises(ValueError, match="expires_in"):
        signer.presign("GET", AWS_HOST, "/", [], [], 901)


@pytest.mark.threat(18, 50)
@pytest.mark.parametrize(
    ("expires_at", "expires_in", "expected"),
    [
        (None, 900, 900),
        (None, 604_801, 604_800),
        (AWS_NOW + 3_600, 900, 900),
        (AWS_NOW + 600, 900, 600),
        (AWS_NOW + 60, 900, 60),
        (AWS_NOW + 700_000, 700_000, 604_800),
    ],
)
def test_a_lifetime_is_cut_to_what_credentials_and_aws_allow(
    expires_at: int | None, expires_in: int, expected: int
) -> None:
    assert lifetime(Credentials("AKID", "secret", None, expires_at), AWS_NOW, expires_in) == expected


@pytest.mark.threat(18, 50)
@pytest.mark.parametrize("expires_at", [AWS_NOW + 59, AWS_NOW, AWS_NOW - 3_600])
def test_credentials_that_are_about_to_expire_are_a_refusal_and_no_dead_url(expires_at: int) -> None:
    with pytest.raises(Refusal) as refused:
        lifetime(Credentials("AKID", "secret", None, expires_at), AWS_NOW, 900)
    assert (refused.value.code, refused.value.retry_after) == (Code.STORAGE_UNAVAILABLE, 30)


@pytest.mark.threat(26)
def test_credentials_show_no_secret() -> None:
    credentials = Credentials("AKID", "hidden-secret", "hidden-token", 1)
    assert repr(credentials) == "Credentials(access_key_id='AKID', expires_at=1)"
