"""`gateway explain`: a table of URLs, what is said of them, and what never is."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gateway.cli.explaining import Known, explain
from gateway.cli.explaining.explanation import TenantKnown, moment
from gateway.grants.seals import Seal, encode
from gateway.s3.endpoints import Endpoint
from gateway.s3.sigv4 import Credentials, Signer
from tests.cli.commands import OFFLINE, say
from tests.gateways import APP_SECRET, SECRET_KEY

NOW = 1_795_226_400  # 2026-11-21T02:00:00Z
SESSION = "IQoJb3JpZ2luX2VjEAEaCXVzLWVhc3QtMSJHMEUCIQDx40U4"
LONG_LIVED = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SESSION)
HOST = "photos.s3.eu-central-1.amazonaws.com"
WHOLE_PUT = (("content-length", "5"), ("content-type", "text/plain"), ("if-none-match", "*"))
KEY = "objects/default/default/0123456789abcdef0123456789abcdef.png"
TENANT = TenantKnown([APP_SECRET.encode()])
KNOWN = Known(Endpoint("https", HOST, "/"), [SECRET_KEY.encode()], {"default": TENANT})

# GET Object of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
AWS_EXAMPLE = (
    "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def presigned(  # noqa: PLR0913 - what there is to vary
    *,
    method: str = "GET",
    base: str = f"https://{HOST}",
    query: Sequence[tuple[str, str]] = (),
    headers: Sequence[tuple[str, str]] = (),
    credentials: Credentials = LONG_LIVED,
    at: int = NOW,
    expires_in: int = 900,
    region: str = "eu-central-1",
) -> str:
    host = base.partition("://")[2]
    signer = Signer(credentials, region, at)
    return f"{base}/{KEY}?{signer.presign(method, host, f'/{KEY}', query, headers, expires_in)}"


def problems(url: str, known: Known | None = None) -> list[str]:
    return list(explain(url, NOW + 60, known).problems)


def test_aws_s_own_example_is_well_formed_and_long_dead() -> None:
    explained = explain(AWS_EXAMPLE, NOW)
    assert explained.kind == "presigned S3 request (SigV4)"
    assert explained.facts == {
        "address": "https://examplebucket.s3.amazonaws.com",
        "path": "/test.txt",
        "method": "signed, but not told by the URL: only the one it was made for works",
        "headers to send": "none",
        "signed by": "AKIA…MPLE, long-lived",
        "signed for": "s3 in us-east-1",
        "signed at": "2013-05-24T00:00:00Z, 4929 days ago",
        "dies at": "2013-05-25T00:00:00Z, 4928 days ago",
    }
    assert explained.problems == ["it has expired"]


def test_our_own_put_forces_all_that_matters_on_the_client() -> None:
    url = presigned(method="PUT", headers=(*WHOLE_PUT, ("x-amz-meta-grant", "token")), credentials=TEMPORARY)
    explained = explain(url, NOW + 60, KNOWN)
    assert explained.problems == []
    assert explained.facts == {
        "address": f"https://{HOST}",
        "path": f"/{KEY}",
        "method": "PUT, as the signed headers say",
        "headers to send": "content-type, if-none-match, x-amz-meta-grant, exactly as signed",
        "length": "signed: exactly as many bytes as were granted",
        "signed by": "ASIA…MPLE, temporary",
        "signed for": "s3 in eu-central-1",
        "session token": "yes: it dies with its session, if that is earlier",
        "signed at": "2026-11-21T02:00:00Z, 60 s ago",
        "dies at": "2026-11-21T02:15:00Z, 14 min from now",
    }


def test_what_a_get_will_be_answered_with_is_told() -> None:
    overrides = (
        ("response-content-disposition", 'attachment; filename="a b.png"'),
        ("response-content-type", "image/png"),
    )
    explained = explain(presigned(query=overrides), NOW)
    assert explained.facts["method"] == "GET, as the query says"
    assert explained.facts["response"] == 'content-disposition: attachment; filename="a b.png"; content-type: image/png'
    assert explained.problems == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (presigned(at=NOW - 3600), ["it has expired"]),
        (presigned(at=NOW + 120), ["it is dated in the future: the signer's clock, or this one, is wrong"]),
        (
            presigned(at=NOW + 7200),
            ["it is dated in the future, by more than the 15 minutes that S3 allows: the signer's clock is wrong"],
        ),
        (
            presigned().replace("X-Amz-Expires=900", "X-Amz-Expires=604801"),
            ["X-Amz-Expires has to be 1 to 604800 seconds, seven days: S3 refuses it"],
        ),
        (presigned().replace("X-Amz-Expires=900", "X-Amz-Expires=soon"), ["X-Amz-Expires is not a number of seconds"]),
        (presigned().replace("X-Amz-Expires=900&", ""), ["X-Amz-Expires is missing"]),
        (presigned().replace("T020000Z", "T250000Z"), ["X-Amz-Date is not of the form 20261121T020000Z"]),
        (
            presigned().replace("Date=20261121", "Date=20261120"),
            ["it has expired", "X-Amz-Date is of another day than X-Amz-Credential: S3 refuses it"],
        ),
        (
            presigned()[:-10],
            ["X-Amz-Signature is not 64 hexadecimal digits: was the URL cut off when it was copied?"],
        ),
        (presigned().replace("AWS4-HMAC", "AWS9-HMAC"), ["X-Amz-Algorithm is not AWS4-HMAC-SHA256"]),
        (
            presigned().replace("aws4_request", "request"),
            ["X-Amz-Credential is not <access key id>/<date>/<region>/<service>/aws4_request"],
        ),
        (presigned().replace("%2Fs3%2F", "%2Fsqs%2F"), ["it is signed for the service 'sqs', not for s3"]),
        (
            presigned().replace("SignedHeaders=host", "SignedHeaders=range"),
            ["the host is not among the signed headers: S3 refuses it"],
        ),
        (
            presigned(credentials=Credentials(TEMPORARY.access_key_id, "secret")),
            ["the access key is temporary, and X-Amz-Security-Token is missing: S3 refuses it"],
        ),
        (
            presigned().replace("&", "&amp;"),
            ["'&' was written as '&amp;': the URL was copied out of HTML source, and does not work so"],
        ),
        (
            presigned().replace("%2F", "%252F"),
            ["the query is percent-encoded twice, so that the signature does not match"],
        ),
        (presigned() + "&X-Amz-Expires=900", ["X-Amz-Expires is there twice"]),
    ],
)
def test_what_is_wrong_with_the_signing_is_told(url: str, expected: list[str]) -> None:
    assert list(explain(url, NOW).problems) == expected


@pytest.mark.parametrize(
    ("base", "region", "expected"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "eu-central-1", []),
        ("https://photos.s3.dualstack.eu-central-1.amazonaws.com", "eu-central-1", []),
        ("https://photos.s3-eu-central-1.amazonaws.com", "eu-central-1", []),
        ("https://photos.s3.cn-north-1.amazonaws.com.cn", "cn-north-1", []),
        ("https://photos.s3.us-gov-west-1.amazonaws.com", "us-gov-west-1", []),
        ("https://photos.s3-accelerate.amazonaws.com", "eu-central-1", []),
        ("https://photos.s3.amazonaws.com", "us-east-1", []),
        ("https://storage.example", "eu-central-1", []),
        (
            "https://photos.s3.amazonaws.com",
            "eu-central-1",
            ["the host is S3's global one, which redirects for eu-central-1, and signatures do not survive that"],
        ),
        (
            "https://photos.s3.eu-west-1.amazonaws.com",
            "eu-central-1",
            ["signed for eu-central-1, but the host is of eu-west-1: S3 refuses it"],
        ),
        (
            "http://storage.example",
            "eu-central-1",
            ["http: anyone on the way can read it and use it, and a page on https may not call it"],
        ),
        ("https://localhost:9000", "eu-central-1", ["localhost is this machine: nobody else can use it"]),
        ("https://127.0.0.1", "eu-central-1", ["127.0.0.1 is this machine: nobody else can use it"]),
        ("https://[::1]:9000", "eu-central-1", ["::1 is this machine: nobody else can use it"]),
        (
            "https://10.1.2.3",
            "eu-central-1",
            ["10.1.2.3 is an address of an internal network: browsers elsewhere cannot reach it"],
        ),
        (
            "https://minio:9000",
            "eu-central-1",
            ["minio is a name of an internal network: browsers elsewhere cannot resolve it"],
        ),
        (
            "https://minio.storage.svc",
            "eu-central-1",
            ["minio.storage.svc is a name of an internal network: browsers elsewhere cannot resolve it"],
        ),
    ],
)
def test_what_is_wrong_with_the_host_is_told(base: str, region: str, expected: list[str]) -> None:
    assert problems(presigned(base=base, region=region)) == expected


def test_a_host_that_is_not_the_public_endpoint_is_told() -> None:
    assert problems(presigned(base=f"https://{HOST}"), KNOWN) == []
    (problem,) = problems(presigned(base="https://storage.example"), KNOWN)
    assert problem.startswith(f"the host is not that of the settings' public storage endpoint, {HOST};")


NO_LENGTH = "content-length is not signed: whoever has it may store any number of bytes, up to 5 GiB"
NO_TYPE = "content-type is not signed: whoever has it chooses the type, text/html as well"
NO_MATCH = "if-none-match is not signed: until it dies, it can overwrite what was stored"
IN_QUERY = "x-amz-checksum-sha256 stands in the query, where S3 ignores it: it has to be signed as a header"
OF_NOTHING = (
    "x-amz-checksum-crc32 in the query is that of no bytes, as the AWS SDK for JavaScript puts it: S3 ignores it, "
    "other stores refuse every upload; set requestChecksumCalculation to WHEN_REQUIRED"
)
PART = (("partNumber", "1"), ("uploadId", "abc"))


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ((), WHOLE_PUT, []),
        ((), WHOLE_PUT[:2], [NO_MATCH]),
        ((), WHOLE_PUT[1:], [NO_LENGTH]),
        ((), (("x-amz-checksum-sha256", "47DEQ"),), [NO_LENGTH, NO_TYPE, NO_MATCH]),
        ((("x-id", "PutObject"),), (), [NO_LENGTH, NO_TYPE, NO_MATCH]),
        ((("x-amz-checksum-sha256", "47DEQ"),), WHOLE_PUT, [IN_QUERY]),
        ((("x-amz-checksum-crc32", "AAAAAA=="),), WHOLE_PUT, [OF_NOTHING]),
        ((("x-amz-checksum-mode", "ENABLED"), ("x-id", "GetObject")), (), []),
        (PART, WHOLE_PUT[:1], []),
        (PART, (), [NO_LENGTH]),
    ],
)
def test_what_an_upload_leaves_open_is_told(
    query: Sequence[tuple[str, str]], headers: Sequence[tuple[str, str]], expected: list[str]
) -> None:
    assert problems(presigned(method="PUT", query=query, headers=headers)) == expected


def test_signature_version_2_is_told_to_be_old() -> None:
    query = f"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires={NOW + 600}&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D"
    explained = explain(f"https://photos.s3.amazonaws.com/puppy.jpg?{query}", NOW)
    assert explained.kind == "presigned S3 request (SigV2)"
    assert explained.facts["signed by"] == "AKIA…MPLE, long-lived"
    assert explained.facts["dies at"] == "2026-11-21T02:10:00Z, 10 min from now"
    assert [problem.partition(":")[0] for problem in explained.problems] == ["SigV2"]
    cut = explain("http://s3.example/puppy.jpg?AWSAccessKeyId=AKIA&Expires=1&response-expires=0", NOW)
    assert [problem.partition(":")[0] for problem in cut.problems] == [
        "Signature is missing",
        "it has expired",
        "SigV2",
        "http",
    ]
    assert (cut.facts["response"], cut.facts["signed by"]) == ("expires: 0", "…, long-lived")
    assert explain("https://s3.example/?Signature=1&AWSAccessKeyId=A&Expires=x", NOW).problems[0] == (
        "Expires is not a time in seconds since 1970"
    )


def sealed(purpose: str, fields: Mapping[str, object], tenant: str | None = "default") -> str:
    """Return a token that the settings' secrets sealed."""
    secrets = KNOWN.secret_keys if tenant is None else TENANT.app_secrets
    return Seal(purpose, secrets, tenant).seal(encode(fields))


LINK = {"key": KEY, "as": "inline", "iat": NOW, "exp": NOW + 900, "epoch": 3}
PASS = {"sub": "alice", "policy": "default", "iat": NOW, "exp": NOW + 900, "types": ["image/png", "text/csv"]}
TICKET = {"sub": "alice", "key": KEY, "size": 5, "name": "a.png", "iat": NOW, "exp": NOW + 900, "meta": {"album": "1"}}
PARTS = {"key": KEY, "at_most": 5, "md5": None, "upload_id": "2~x", "part": 8_388_608, "sums": True} | {
    name: TICKET[name] for name in ("sub", "name", "iat", "exp")
}
RECEIPT = {"key": KEY, "size": 5, "etag": '"e"', "sha256": None, "iat": NOW, "exp": NOW + 900}


def link(fields: Mapping[str, object] = LINK) -> str:
    return f"https://files.example/d/{sealed('link', fields)}"


def test_a_link_says_what_it_leads_to_and_whether_these_secrets_sealed_it() -> None:
    explained = explain(link({**LINK, "name": "très\u202e bien.png"}) + "/a.png", NOW + 60, KNOWN)
    assert explained.kind == "link"
    assert explained.facts == {
        "tenant": "default",
        "address": "https://files.example",
        "object": KEY,
        "shown as": "inline",
        "link epoch": "3",
        "filename": "très\\u202e bien.png",
        "issued at": "2026-11-21T02:00:00Z, 60 s ago",
        "dies at": "2026-11-21T02:15:00Z, 14 min from now",
        "sealed by these secrets": "yes",
    }
    assert explained.problems == []
    assert "sealed by these secrets" not in explain(link(), NOW).facts


@pytest.mark.parametrize(
    ("text", "kind", "facts"),
    [
        (
            f"https://files.example/static/demo/#pass={sealed('pass', PASS)}&policy=default",
            "pass",
            {"principal": "alice", "policy": "default", "types": "image/png, text/csv"},
        ),
        (sealed("pass", PASS), "pass", {"principal": "alice"}),
        (
            f"https://files.example/v1/uploads/{sealed('ticket', TICKET, None)}/complete",
            "ticket",
            {"object": KEY, "size": "5", "metadata": "album: 1"},
        ),
        (
            f"https://files.example/s3/multipart/{sealed('ticket', PARTS, None)}/batch?partNumbers=1",
            "ticket",
            {
                "size at most": "5",
                "MD5": "none",
                "upload id": "2~x",
                "size of a part": "8388608",
                "SHA-256 for every part": "yes",
            },
        ),
        (f"https://files.example/lfs/objects/verify/{sealed('ticket', TICKET, None)}", "ticket", {"object": KEY}),
        (f"https://files.example/lfs/big/objects/verify/{sealed('ticket', TICKET, None)}", "ticket", {"object": KEY}),
        (f"https://files.example/u/{sealed('pass', PASS)}/s3/params", "pass", {"principal": "alice"}),
        (
            f"https://files.example/u/{sealed('pass', PASS)}/s3/multipart/{sealed('ticket', TICKET, None)}/1?key=x",
            "ticket",
            {"object": KEY},
        ),
        (sealed("grant", TICKET, None), "ticket", {"principal": "alice", "filename": "a.png"}),
        (sealed("receipt", RECEIPT), "receipt", {"ETag": '"e"', "SHA-256": "none"}),
        (sealed("link", LINK), "link", {"object": KEY}),
        (
            sealed("cursor", {"tenant": "default", "prefix": "", "after": KEY}, None),
            "cursor",
            {"tenant": "default", "after": KEY},
        ),
    ],
)
def test_every_token_is_told_by_where_it_stands_or_what_it_says(text: str, kind: str, facts: dict[str, str]) -> None:
    explained = explain(f" '{text}' ", NOW, KNOWN)
    assert (explained.kind, list(explained.problems)) == (kind, [])
    assert explained.facts["sealed by these secrets"] == "yes"
    assert facts.items() <= explained.facts.items()


NOT_SEALED = (
    "it is not a link sealed by these secrets: forged, of another gateway or purpose, or older than the secrets in "
    "the list"
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (link({**LINK, "exp": NOW}), ["it has expired"]),
        (
            link({**LINK, "iat": NOW + 301}),
            ["it is issued in the future, by more than five minutes: its maker's clock is wrong"],
        ),
        (link({**LINK, "iat": True}), ["it does not say when it was issued: 'iat' has to be whole seconds since 1970"]),
        (link({**LINK, "exp": "soon"}), ["it does not say when it dies: 'exp' has to be whole seconds since 1970"]),
        (link({**LINK, "epoch": 1}), ["it is revoked: the tenant's link epoch is 2"]),
        (link({**LINK, "exp": None}), ["it never ends, which the tenant does not allow"]),
        (link().replace("https:", "http:"), ["http: anyone on the way can read it and use it"]),
        (link()[:-43] + "A" * 43, [NOT_SEALED]),
        (f"https://files.example/d/{sealed('pass', LINK)}", [NOT_SEALED]),
        (link().replace("/d/default.", "/d/shop."), ["the settings define no such tenant"]),
        (sealed("pass", {**PASS, "exp": NOW + 86_401}), ["a pass may not live longer than a day"]),
    ],
)
def test_what_is_wrong_with_a_token_is_told(url: str, expected: list[str]) -> None:
    tenant = TenantKnown(TENANT.app_secrets, link_epoch=2)
    assert list(explain(url, NOW, Known(KNOWN.endpoint, KNOWN.secret_keys, {"default": tenant})).problems) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "this is neither a URL nor one of the gateway's tokens"),
        ("", "this is neither a URL nor one of the gateway's tokens"),
        ("ftp://files.example/a", "this is neither a URL nor one of the gateway's tokens"),
        (f"default.{'A' * 9}.{'A' * 43}", "this is neither a URL nor one of the gateway's tokens"),
        ("https://files.example/a", "this URL is not presigned, and none of the gateway's tokens is in it"),
        ("https://files.example/d/x", "this URL is not presigned, and none of the gateway's tokens is in it"),
        ("https://[::1", "Invalid IPv6 URL"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(text: str, reason: str) -> None:
    said = say("explain", text, env=OFFLINE)
    assert (said.stdout, said.stderr, said.exit_code) == ("", f"{reason}\n", 2)


@pytest.mark.threat(25)
@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        (AWS_EXAMPLE, ["aeeed9bb", "AKIAIOSFODNN7EXAMPLE"]),
        (presigned(credentials=TEMPORARY), [SESSION, SESSION[:8], "ASIAIOSFODNN7EXAMPLE"]),
        (f"https://user:password@{HOST}/a?AWSAccessKeyId=A&Expires=1&Signature=vjbyPxyb", ["vjbyPxyb", "password"]),
        (link(), link().rpartition("/")[2].split(".")[1:]),
    ],
)
def test_no_signature_token_or_key_is_repeated(url: str, hidden: list[str], flags: list[str]) -> None:
    said = say("explain", url, *flags, env=OFFLINE)
    assert said.exit_code == 0
    assert [text for text in hidden if text in said.stdout + said.stderr] == []


@pytest.mark.threat(52)
def test_nothing_of_a_url_reaches_the_terminal_as_a_command() -> None:
    url = presigned(query=[("response-content-type", "\x1b[2J\n[ERROR] x")]).replace("photos", "ph\x1botos")
    said = say("explain", url, env=OFFLINE)
    assert "\x1b" not in said.stdout
    assert "response         content-type: \\x1b[2J\\n[ERROR] x\n" in said.stdout


def test_as_json_it_says_the_same() -> None:
    told = json.loads(say("explain", AWS_EXAMPLE, "--json", env=OFFLINE).stdout)
    assert told["kind"] == "presigned S3 request (SigV4)"
    assert told["facts"]["signed for"] == "s3 in us-east-1"
    assert told["problems"][0] == "it has expired"


def test_without_settings_it_says_so_and_explains_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = say("explain", link())
    assert said.stderr == "Not compared with settings: GATEWAY_SECRET_KEYS is missing.\n"
    assert said.stdout.startswith("link\n\n  tenant      default\n")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "2026-11-21T02:00:00Z, 0 s ago"),
        (NOW + 119, "2026-11-21T02:01:59Z, 119 s from now"),
        (NOW - 7200, "2026-11-21T00:00:00Z, 2 h ago"),
        (NOW + 172_800, "2026-11-23T02:00:00Z, 2 days from now"),
        (10**15, "1000000000000000 s after 1970, beyond any calendar"),
    ],
)
def test_times_are_told_with_their_distance(at: int, words: str) -> None:
    assert moment(at, NOW) == words
