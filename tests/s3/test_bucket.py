"""From grants and links to presigned requests: exact bytes, what is signed, and until when."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Multipart, Ticket
from gateway.s3.bucket import MAX_METADATA, WINDOW, Bucket
from gateway.s3.endpoints import Endpoint
from gateway.s3.part_uploads import PartUploads
from gateway.s3.parts import MAX_OBJECT
from gateway.s3.presigned import PresignedForm, PresignedRequest
from gateway.s3.sigv4 import Credentials, Signer
from gateway.settings import load
from tests.gateways import API_KEY, APP_SECRET, SECRET_KEY, tenant

NOW = 1_800_000_000  # 2027-01-15T08:00:00Z, the first second of a window
NAME = "0123456789abcdef0123456789abcdef"
KEY = ObjectKey("default", "photos", NAME, "png")
SHA256 = base64.b64encode(hashlib.sha256(b"").digest()).decode()
MD5 = base64.b64encode(bytes(16)).decode()
GRANT = Grant("alice", KEY, "image/png", 12_345, SHA256, Filename("a.png"), {}, NOW, NOW + 3600)
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
ENDPOINT = Endpoint("https", "bucket.s3.eu-west-3.amazonaws.com", "/")


def bucket() -> Bucket:
    return Bucket(ENDPOINT, "eu-west-3")


def expiring(seconds: int) -> Credentials:
    return replace(CREDENTIALS, session_token="a/session+token=", expires_at=NOW + seconds)


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def get(
    extension: str = "png",
    name: str | None = "a.png",
    disposition: Literal["inline", "attachment"] = "inline",
    *,
    now: int = NOW,
    window: int = WINDOW,
) -> str:
    downloads = bucket().downloads(CREDENTIALS, now=now, expires_in=300, window=window)
    return downloads.get(replace(KEY, extension=extension), Filename(name) if name else None, disposition)


@pytest.mark.threat(2, 10, 11)
def test_a_put_is_exactly_this_request() -> None:
    assert bucket().put_object(GRANT, "sealed", CREDENTIALS, now=NOW, expires_in=900) == PresignedRequest(
        "PUT",
        f"https://bucket.s3.eu-west-3.amazonaws.com/incoming/default/photos/{NAME}.png"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIDEXAMPLE%2F20270115%2Feu-west-3%2Fs3%2Faws4_request"
        "&X-Amz-Date=20270115T080000Z&X-Amz-Expires=900"
        "&X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256"
        "%3Bx-amz-meta-grant%3Bx-amz-sdk-checksum-algorithm"
        "&X-Amz-Signature=01ae989315e7a7093d62f041025551128ba27a409d2b55c8c5eb812b0852a342",
        {
            "content-type": "image/png",
            "if-none-match": "*",
            "x-amz-checksum-sha256": SHA256,
            "x-amz-meta-grant": "sealed",
            "x-amz-sdk-checksum-algorithm": "SHA256",
        },
        NOW + 900,
    )


def test_a_put_without_a_checksum_signs_none() -> None:
    request = bucket().put_object(replace(GRANT, checksum_sha256=None), "sealed", CREDENTIALS, now=NOW, expires_in=900)
    assert request.headers == {"content-type": "image/png", "if-none-match": "*", "x-amz-meta-grant": "sealed"}
    assert (
        query(request.url)["X-Amz-SignedHeaders"] == "content-length;content-type;host;if-none-match;x-amz-meta-grant"
    )


@pytest.mark.threat(11)
def test_a_put_of_a_known_md5_signs_it_for_the_bucket_to_compare() -> None:
    grant = replace(GRANT, content_md5=MD5)
    request = bucket().put_object(grant, "sealed", CREDENTIALS, now=NOW, expires_in=900)
    assert request.headers == {
        "content-md5": MD5,
        "content-type": "image/png",
        "if-none-match": "*",
        "x-amz-checksum-sha256": SHA256,
        "x-amz-meta-grant": "sealed",
        "x-amz-sdk-checksum-algorithm": "SHA256",
    }
    assert query(request.url)["X-Amz-SignedHeaders"] == (
        "content-length;content-md5;content-type;host;if-none-match;x-amz-checksum-sha256;x-amz-meta-grant;"
        "x-amz-sdk-checksum-algorithm"
    )


@pytest.mark.parametrize("endpoint", [ENDPOINT, Endpoint("http", "127.0.0.1:9000", "/bucket/")])
@pytest.mark.parametrize("content_md5", [None, MD5])
@pytest.mark.parametrize("checksum", [None, SHA256])
def test_a_put_is_signed_as_any_request_with_these_headers_is(
    endpoint: Endpoint, content_md5: str | None, checksum: str | None
) -> None:
    grant = replace(GRANT, content_md5=content_md5, checksum_sha256=checksum)
    request = Bucket(endpoint, "eu-west-3").put_object(grant, "sealed", CREDENTIALS, now=NOW, expires_in=900)
    headers = {"content-length": "12345", **request.headers}
    path = f"{endpoint.path}{KEY.upload_key}"
    signer = Signer(CREDENTIALS, "eu-west-3", NOW)
    signed = signer.presign("PUT", endpoint.host, path, (), headers.items(), 900)
    assert request.url == f"{endpoint.origin}{path}?{signed}"


@pytest.mark.threat(2)
def test_a_put_names_only_quarantine_and_a_get_only_what_is_served() -> None:
    put = bucket().put_object(GRANT, "sealed", CREDENTIALS, now=NOW, expires_in=900)
    assert urlsplit(put.url).path == f"/{KEY.upload_key}"
    assert urlsplit(get()).path == f"/{KEY.key}"


def test_each_thing_that_a_grant_says_changes_the_signature() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"size": 12_346},
        {"content_type": "image/jpeg"},
        {"checksum_sha256": None},
        {"checksum_sha256": SHA256[:-2] + "Q="},
        {"content_md5": MD5},
        {"content_md5": MD5[:-3] + "w=="},
        {"key": replace(KEY, name="f" * 32)},
        {"key": replace(KEY, tenant="other")},
    ]
    signatures = {
        query(bucket().put_object(replace(GRANT, **change), "sealed", CREDENTIALS, now=NOW, expires_in=900).url)[
            "X-Amz-Signature"
        ]
        for change in changes
    }
    assert len(signatures) == len(changes)


def test_metadata_of_a_put_has_at_most_2000_bytes_with_its_name() -> None:
    longest = "x" * (MAX_METADATA - len("grant"))
    assert bucket().put_object(GRANT, longest, CREDENTIALS, now=NOW, expires_in=900).headers["x-amz-meta-grant"]
    with pytest.raises(Refusal) as caught:
        bucket().put_object(GRANT, longest + "x", CREDENTIALS, now=NOW, expires_in=900)
    assert caught.value.code is Code.METADATA_TOO_LARGE


# Parts and forms


def test_the_parts_of_a_ticket_are_signed_for_its_upload_and_end_with_the_credentials() -> None:
    ticket = Ticket(GRANT, Multipart("an-upload-id", 8_388_608))
    for left, lives in ((3600, 900), (120, 120)):
        credentials = expiring(left)
        signing = bucket().parts(ticket, credentials, now=NOW, expires_in=900)
        expected = PartUploads(
            ENDPOINT, KEY.upload_key, "an-upload-id", Signer(credentials, "eu-west-3", NOW), now=NOW, expires_in=lives
        )
        assert signing.part(3, 5, SHA256) == expected.part(3, 5, SHA256)
        assert signing.part(3, 5, SHA256).expires_at == NOW + lives


@pytest.mark.threat(5)
def test_a_ticket_of_a_single_request_signs_no_parts() -> None:
    with pytest.raises(Refusal) as caught:
        bucket().parts(Ticket(GRANT), CREDENTIALS, now=NOW, expires_in=900)
    assert caught.value.code is Code.INVALID_REQUEST


def form(grant: Grant = GRANT, *, credentials: Credentials = CREDENTIALS) -> PresignedForm:
    return bucket().form(grant, "sealed", credentials, now=NOW, expires_in=900)


def conditions(presigned: PresignedForm) -> list[Any]:
    found: list[Any] = json.loads(base64.b64decode(presigned.fields["policy"]))["conditions"]
    return found


@pytest.mark.threat(5, 10, 16)
def test_a_form_is_for_exactly_the_key_type_and_grant_and_for_a_size_within_its_limits() -> None:
    by_form = replace(GRANT, key=replace(KEY, name=f"{NAME}form"), exact=False, at_least=1)
    presigned = form(by_form)
    said = {
        "key": f"incoming/default/photos/{NAME}form.png",
        "success_action_status": "201",
        "Content-Type": "image/png",
        "x-amz-meta-grant": "sealed",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "AKIDEXAMPLE/20270115/eu-west-3/s3/aws4_request",
        "x-amz-date": "20270115T080000Z",
    }
    signed = presigned.fields["policy"], presigned.fields["x-amz-signature"]
    assert presigned == PresignedForm(
        "https://bucket.s3.eu-west-3.amazonaws.com/",
        {**said, "policy": signed[0], "x-amz-signature": signed[1]},
        NOW + 900,
    )
    assert conditions(presigned) == [
        {"bucket": "bucket"},
        *({name: value} for name, value in said.items()),
        ["content-length-range", 1, 12_345],
    ]


@pytest.mark.threat(10)
def test_a_form_takes_what_a_single_request_can_hold_at_most() -> None:
    large = replace(GRANT, size=MAX_OBJECT, exact=False)
    assert conditions(form(large))[-1] == ["content-length-range", 0, 5_368_709_120]


@pytest.mark.threat(18, 50)
def test_a_form_ends_with_the_credentials_and_says_so() -> None:
    presigned = form(credentials=expiring(120))
    expiration = json.loads(base64.b64decode(presigned.fields["policy"]))["expiration"]
    assert (presigned.expires_at, expiration) == (NOW + 120, "2027-01-15T08:02:00Z")
    assert presigned.fields["x-amz-security-token"] == "a/session+token="


def test_a_form_keeps_no_more_metadata_than_a_put() -> None:
    with pytest.raises(Refusal) as caught:
        bucket().form(GRANT, "x" * MAX_METADATA, CREDENTIALS, now=NOW, expires_in=900)
    assert caught.value.code is Code.METADATA_TOO_LARGE


def test_a_get_is_exactly_this_url() -> None:
    assert get() == (
        f"https://bucket.s3.eu-west-3.amazonaws.com/objects/default/photos/{NAME}.png"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIDEXAMPLE%2F20270115%2Feu-west-3%2Fs3%2Faws4_request"
        "&X-Amz-Date=20270115T080000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host"
        "&response-cache-control=private%2C%20max-age%3D300"
        "&response-content-disposition=inline%3B%20filename%3D%22a.png%22"
        "&response-content-type=image%2Fpng"
        "&X-Amz-Signature=ab91aa1277adc5c764e832e10ff708b29857b97770e4102b84299ad3b59e25a2"
    )


def test_a_head_is_exactly_this_url() -> None:
    downloads = bucket().downloads(CREDENTIALS, now=NOW, expires_in=300, window=WINDOW)
    assert downloads.head(KEY) == (
        f"https://bucket.s3.eu-west-3.amazonaws.com/objects/default/photos/{NAME}.png"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIDEXAMPLE%2F20270115%2Feu-west-3%2Fs3%2Faws4_request"
        "&X-Amz-Date=20270115T080000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=791fcacee936262e17b866c8f6451507c9b5dafbaabf35bbd36e40d689926a1c"
    )


def test_a_get_is_one_url_all_through_its_window_and_another_in_the_next() -> None:
    first = get()
    assert {get(now=NOW + second) for second in (0, 1, 150, WINDOW - 1)} == {first}
    assert get(now=NOW + WINDOW) != first
    # Asked for in the last second of a window, it still lives as long as was asked for.
    last = bucket().downloads(CREDENTIALS, now=NOW + WINDOW - 1, expires_in=300, window=WINDOW)
    assert last.expires_at == NOW + WINDOW + 300


def test_without_a_window_a_get_begins_now() -> None:
    parts = query(get(now=NOW + 7, window=0))
    assert (parts["X-Amz-Date"], parts["X-Amz-Expires"]) == ("20270115T080007Z", "300")


@pytest.mark.threat(8)
@pytest.mark.parametrize(
    ("extension", "media_type"),
    [("png", "image/png"), ("jpg", "image/jpeg"), ("gif", "image/gif"), ("webp", "image/webp")],
)
def test_pictures_are_shown_inline_where_that_is_asked_for(extension: str, media_type: str) -> None:
    shown = query(get(extension))
    assert (shown["response-content-disposition"], shown["response-content-type"]) == (
        'inline; filename="a.png"',
        media_type,
    )
    saved = query(get(extension, disposition="attachment"))
    assert (saved["response-content-disposition"], saved["response-content-type"]) == (
        'attachment; filename="a.png"',
        "application/octet-stream",
    )


@pytest.mark.threat(8)
@pytest.mark.parametrize("extension", ["pdf", "txt", "csv", "json", "svg", "html", "xml", "xhtml", "js", "exe", "bin"])
def test_anything_else_is_an_attachment_of_octets_whatever_is_asked_for(extension: str) -> None:
    shown = query(get(extension))
    assert (shown["response-content-disposition"], shown["response-content-type"]) == (
        'attachment; filename="a.png"',
        "application/octet-stream",
    )


@pytest.mark.threat(24)
@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        (None, 'inline; filename="0123456789abcdef.png"'),
        ("a b.png", 'inline; filename="a b.png"'),
        ('a"b.png', "inline; filename=\"a_b.png\"; filename*=UTF-8''a%22b.png"),
        ("é.png", "inline; filename=\"e.png\"; filename*=UTF-8''%C3%A9.png"),
        ("100%.png", "inline; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
        ("x" * 300, f'inline; filename="{"x" * 300}"'),
        ("PROBE", 'inline; filename="PROBE"'),
    ],
)
def test_the_name_for_saving_is_signed_in_its_header_form(name: str | None, disposition: str) -> None:
    assert query(get(name=name))["response-content-disposition"] == disposition


@pytest.mark.threat(18, 50)
@pytest.mark.parametrize(("left", "lives"), [(3600, 900), (901, 900), (900, 900), (899, 899), (60, 60)])
def test_a_put_ends_with_the_credentials_and_says_so(left: int, lives: int) -> None:
    request = bucket().put_object(GRANT, "sealed", expiring(left), now=NOW, expires_in=900)
    parts = query(request.url)
    assert (request.expires_at, parts["X-Amz-Expires"]) == (NOW + lives, str(lives))
    assert parts["X-Amz-Security-Token"] == "a/session+token="


@pytest.mark.threat(18, 50)
@pytest.mark.parametrize("left", [61, 250, 599, 600, 3600])
def test_a_get_ends_with_the_credentials_and_is_stable_until_then(left: int) -> None:
    signed_by, urls = expiring(left), set()
    for now in (NOW, NOW + 1):
        downloads = bucket().downloads(signed_by, now=now, expires_in=300, window=WINDOW)
        assert downloads.expires_at == min(NOW + 600, NOW + left)
        urls.add(downloads.get(KEY, None, "inline"))
    (url,) = urls
    parts = query(url)
    assert int(parts["X-Amz-Expires"]) == downloads.expires_at - NOW


@pytest.mark.threat(18, 50)
@pytest.mark.parametrize("left", [59, 1, 0, -3600])
def test_with_less_than_a_minute_left_nothing_is_signed(left: int) -> None:
    for work in (
        lambda: bucket().put_object(GRANT, "sealed", expiring(left), now=NOW, expires_in=900),
        lambda: bucket().downloads(expiring(left), now=NOW, expires_in=300, window=WINDOW),
        lambda: bucket().parts(
            Ticket(GRANT, Multipart("an-upload-id", 5_242_880)), expiring(left), now=NOW, expires_in=900
        ),
        lambda: form(credentials=expiring(left)),
    ):
        with pytest.raises(Refusal) as caught:
            work()
        assert (caught.value.code, caught.value.retry_after) == (Code.STORAGE_UNAVAILABLE, 30)


@pytest.mark.threat(18)
def test_a_direct_link_lives_seven_days_at_most() -> None:
    week = bucket().downloads(CREDENTIALS, now=NOW, expires_in=604_800)
    assert week.expires_at == bucket().downloads(CREDENTIALS, now=NOW, expires_in=10**9).expires_at == NOW + 604_800


def test_other_credentials_sign_at_once() -> None:
    one = bucket()
    first = one.put_object(GRANT, "sealed", CREDENTIALS, now=NOW, expires_in=900)
    rotated = replace(CREDENTIALS, access_key_id="AKIDROTATED")
    second = one.put_object(GRANT, "sealed", rotated, now=NOW, expires_in=900)
    assert query(second.url)["X-Amz-Credential"].startswith("AKIDROTATED/")
    assert one.put_object(GRANT, "sealed", CREDENTIALS, now=NOW, expires_in=900) == first


def test_what_is_kept_from_one_second_to_the_next_is_bounded() -> None:
    one = bucket()
    for second in range(1000):
        one.put_object(GRANT, "sealed", CREDENTIALS, now=NOW + second, expires_in=900)
        one.downloads(CREDENTIALS, now=NOW + second, expires_in=60 + second)
    assert len(one._signers) <= 16
    assert len(one._downloads) <= 16


@pytest.mark.threat(17)
@pytest.mark.parametrize(
    ("flags", "start"),
    [
        ({"region": "us-east-1"}, "https://bucket-name.s3.us-east-1.amazonaws.com/"),
        ({"region": "eu-central-1"}, "https://bucket-name.s3.eu-central-1.amazonaws.com/"),
        ({"region": "cn-north-1"}, "https://bucket-name.s3.cn-north-1.amazonaws.com.cn/"),
        ({"region": "us-east-1", "bucket": "dotted.name"}, "https://s3.us-east-1.amazonaws.com/dotted.name/"),
        ({"region": "us-east-1", "storage_endpoint": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/bucket-name/"),
        (
            {"region": "us-east-1", "public_storage_endpoint": "https://cdn.example:8443"},
            "https://cdn.example:8443/bucket-name/",
        ),
        (
            {"region": "us-east-1", "storage_endpoint": "https://s3.example", "address_style": "virtual"},
            "https://bucket-name.s3.example/",
        ),
    ],
)
def test_every_url_is_of_version_4_and_of_the_regions_own_host(flags: dict[str, str], start: str) -> None:
    given: dict[str, Any] = {"bucket": "bucket-name", "tenants": {"default": tenant(API_KEY, APP_SECRET)}, **flags}
    settings = load(secret_keys=[SECRET_KEY], **given)
    one = Bucket(settings.public_endpoint(), settings.region)
    downloads = one.downloads(CREDENTIALS, now=NOW, expires_in=300)
    urls = [
        one.put_object(GRANT, "sealed", CREDENTIALS, now=NOW, expires_in=900).url,
        downloads.get(KEY, None, "inline"),
        downloads.head(KEY),
    ]
    for url in urls:
        assert url.startswith(start)
        parts = query(url)
        assert parts["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
        assert parts["X-Amz-Credential"] == f"AKIDEXAMPLE/20270115/{flags['region']}/s3/aws4_request"
        assert "host" in parts["X-Amz-SignedHeaders"].split(";")
        assert not {"AWSAccessKeyId", "Signature", "Expires"} & parts.keys()
