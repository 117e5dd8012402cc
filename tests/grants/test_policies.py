"""Policies: what they allow becomes a grant, and nothing else does."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.filenames import Filename
from gateway.content.media_types import MEDIA_TYPES
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import (
    LINK_EXPIRES_IN,
    MAX_SINGLE_PUT,
    MULTIPART_FROM,
    Grant,
    Policy,
    Quota,
    Tenant,
    acting_as,
    allow,
    check_sha256,
)
from gateway.grants.principals import Action, Kind, Limits, Principal
from gateway.s3.parts import MAX_OBJECT

NOW = 1_800_000_000
NAME = "0123456789abcdef0123456789abcdef"
SHA256 = base64.b64encode(hashlib.sha256(b"").digest()).decode()
MD5 = base64.b64encode(bytes(range(16))).decode()
PHOTOS = Policy(
    "photos",
    {name: MEDIA_TYPES[name] for name in ("image/png", "image/jpeg")},
    max_size=1000,
    min_size=10,
    ticket_expires_in=600,
    link_expires_in=60,
)
OTHERS = replace(PHOTOS, name="others")
TENANT = Tenant("default", {"photos": PHOTOS, "others": OTHERS, "hidden": replace(PHOTOS, name="hidden")})
ALICE = Principal("default", "alice", Kind.JWT, frozenset({Action.UPLOAD}), frozenset({"photos", "others"}))


# Every field has another value than its default.
LARGE = Policy(
    "large",
    {"application/octet-stream": MEDIA_TYPES["application/octet-stream"]},
    MAX_OBJECT,
    0,
    "required",
    inline=False,
    put_expires_in=60,
    ticket_expires_in=61,
    link_expires_in=62,
    multipart_from=63,
    multipart_expires_in=64,
    protocols=frozenset({"git-lfs"}),
    scan=True,
    quota=Quota(10, MAX_OBJECT, 3600),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A wish that no schema has looked at."""

    filename: str
    content_type: str
    size: int | None
    checksum_sha256: str | None = None
    metadata: Mapping[str, str] | None = None
    on_behalf_of: str | None = None
    content_md5: str | None = None


WISH = Wanted("holiday.jpeg", "image/jpeg", 500, SHA256, {"album": "sea"})


def refusal(principal: Principal = ALICE, policy: Policy = PHOTOS, **changes: Any) -> tuple[Code, str]:  # noqa: ANN401
    with pytest.raises(Refusal) as caught:
        allow(principal, policy, replace(WISH, **changes), name=NAME, now=NOW)
    return caught.value.code, caught.value.detail


def test_a_grant_says_who_may_store_exactly_what_under_which_key_and_until_when() -> None:
    assert allow(ALICE, PHOTOS, WISH, name=NAME, now=NOW) == Grant(
        "alice",
        ObjectKey("default", "photos", NAME, "jpg"),
        "image/jpeg",
        500,
        SHA256,
        Filename("holiday.jpeg"),
        {"album": "sea"},
        NOW,
        NOW + 600,
    )


def test_a_type_is_granted_without_its_parameters_and_under_its_own_extension() -> None:
    for content_type in ("image/jpeg", "IMAGE/JPEG", "image/jpeg; charset=utf-8"):
        for filename in ("a.jpg", "a.JPEG", "a.jfif", "no extension"):
            grant = allow(
                ALICE, PHOTOS, replace(WISH, content_type=content_type, filename=filename), name=NAME, now=NOW
            )
            assert (grant.content_type, grant.key.extension) == ("image/jpeg", "jpg")


@pytest.mark.threat(10)
@pytest.mark.parametrize("size", [10, 1000])
def test_the_limits_of_a_size_are_within_it(size: int) -> None:
    assert allow(ALICE, PHOTOS, replace(WISH, size=size), name=NAME, now=NOW).size == size


@pytest.mark.threat(10)
@pytest.mark.parametrize(
    ("size", "code", "detail"),
    [
        (9, Code.INVALID_REQUEST, "This policy takes files of at least 10 bytes."),
        (0, Code.INVALID_REQUEST, "This policy takes files of at least 10 bytes."),
        (-1, Code.INVALID_REQUEST, "This policy takes files of at least 10 bytes."),
        (1001, Code.TOO_LARGE, "This policy takes files of at most 1000 bytes."),
        (2**63, Code.TOO_LARGE, "This policy takes files of at most 1000 bytes."),
        (10**400, Code.TOO_LARGE, "This policy takes files of at most 1000 bytes."),
    ],
)
def test_any_other_size_is_refused(size: int, code: Code, detail: str) -> None:
    assert refusal(size=size) == (code, detail)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content_type": "image/gif", "filename": "a.gif"}, Code.TYPE_NOT_ALLOWED),
        ({"content_type": "image/svg+xml"}, Code.TYPE_NOT_ALLOWED),
        ({"content_type": "image/jpegx"}, Code.TYPE_NOT_ALLOWED),
        ({"content_type": ""}, Code.TYPE_NOT_ALLOWED),
        ({"filename": "a.png"}, Code.EXTENSION_MISMATCH),
        ({"filename": "a.jpg.exe"}, Code.EXTENSION_MISMATCH),
        ({"filename": ""}, Code.INVALID_FILENAME),
        ({"filename": "/"}, Code.INVALID_FILENAME),
        ({"metadata": {str(number): "" for number in range(11)}}, Code.METADATA_TOO_LARGE),
        ({"metadata": {"é": "x" * 511}}, Code.METADATA_TOO_LARGE),
    ],
)
def test_what_the_policy_does_not_name_is_refused(changes: dict[str, Any], code: Code) -> None:
    assert refusal(**changes) == (code, code.sentence)


def test_ten_pairs_of_512_bytes_are_metadata() -> None:
    pairs = {str(number): "x" * 50 for number in range(10)}
    assert allow(ALICE, PHOTOS, replace(WISH, metadata={**pairs, "0": "x" * 52}), name=NAME, now=NOW)
    assert refusal(metadata={**pairs, "0": "x" * 53})[0] is Code.METADATA_TOO_LARGE


@pytest.mark.threat(11)
def test_a_policy_can_require_a_checksum() -> None:
    assert allow(ALICE, PHOTOS, replace(WISH, checksum_sha256=None), name=NAME, now=NOW).checksum_sha256 is None
    strict = replace(PHOTOS, checksum="required")
    assert refusal(policy=strict, checksum_sha256=None) == (Code.CHECKSUM_REQUIRED, Code.CHECKSUM_REQUIRED.sentence)
    assert allow(ALICE, strict, WISH, name=NAME, now=NOW).checksum_sha256 == SHA256


@pytest.mark.threat(11)
@given(st.text(max_size=50))
def test_no_other_text_is_a_checksum(text: str) -> None:
    assert refusal(checksum_sha256=text) == (
        Code.INVALID_REQUEST,
        "checksum_sha256 is the base64 of the 32 bytes of a SHA-256.",
    )


def test_who_may_not_upload_gets_no_grant() -> None:
    reader = replace(ALICE, actions=frozenset(Action) - {Action.UPLOAD})
    assert refusal(reader) == (Code.FORBIDDEN, "These credentials do not allow the action 'upload'.")


def test_a_policy_is_used_by_those_who_may_and_unknown_to_nobody() -> None:
    assert TENANT.policy_for(ALICE, "photos") == PHOTOS
    for name, code in (("nothing", Code.POLICY_UNKNOWN), ("hidden", Code.FORBIDDEN)):
        with pytest.raises(Refusal) as caught:
            TENANT.policy_for(ALICE, name)
        assert caught.value.code is code
    assert TENANT.policies_for(ALICE) == [PHOTOS, OTHERS]
    assert TENANT.policies_for(replace(ALICE, policies=frozenset())) == []


def test_limits_narrow_a_policy_and_never_widen_it() -> None:
    def narrowed(max_size: int | None, content_types: frozenset[str] | None) -> tuple[int, list[str]]:
        policy = PHOTOS.narrowed(replace(ALICE, limits=Limits(max_size, content_types)))
        assert replace(policy, max_size=PHOTOS.max_size, media_types=PHOTOS.media_types) == PHOTOS
        return policy.max_size, list(policy.media_types)

    both = ["image/png", "image/jpeg"]
    assert narrowed(None, None) == (1000, both)
    assert narrowed(100, None) == (100, both)
    assert narrowed(10**9, None) == (1000, both)
    assert narrowed(0, None) == (0, both)
    assert narrowed(None, frozenset({"image/png", "text/html"})) == (1000, ["image/png"])
    assert narrowed(None, frozenset()) == (1000, [])


def test_all_else_of_a_policy_is_kept_when_it_is_narrowed() -> None:
    defaults = Policy("", {}, 0)
    assert all(getattr(LARGE, field.name) != getattr(defaults, field.name) for field in fields(Policy))
    narrowed = LARGE.narrowed(replace(ALICE, limits=Limits(1000, frozenset())))
    assert narrowed == replace(LARGE, max_size=1000, media_types={})


def test_a_quota_takes_as_much_at_once_as_it_does_in_a_whole_window() -> None:
    wanted = [(1, 100), (3, 100), (4, 100), (3, 101), (0, 0)]
    takes = {
        quota: [quota.takes(*each) for each in wanted]
        for quota in (Quota(3, 100, 60), Quota(3, None, 60), Quota(None, 100, 60))
    }
    assert takes == {
        Quota(3, 100, 60): [True, True, False, False, True],
        Quota(3, None, 60): [True, True, False, True, True],
        Quota(None, 100, 60): [True, True, True, False, True],
    }


def test_a_file_is_divided_from_the_size_that_the_policy_says_and_so_is_what_nobody_counted() -> None:
    assert MULTIPART_FROM == 104_857_600
    assert [PHOTOS.divides(size) for size in (None, 0, MULTIPART_FROM - 1, MULTIPART_FROM)] == [
        True,
        False,
        False,
        True,
    ]
    always = replace(PHOTOS, multipart_from=1)
    assert [always.divides(size) for size in (0, 1)] == [False, True]  # no bytes have no parts


LARGE_WISH = Wanted("dump.tar.zst", "application/octet-stream", MAX_OBJECT, SHA256, content_md5=MD5)


def large(*, multipart: bool, **changes: Any) -> Grant:  # noqa: ANN401 - any field of a wish
    wish = replace(LARGE_WISH, **changes)
    return allow(ALICE, replace(LARGE, name="photos"), wish, name=NAME, now=NOW, multipart=multipart)


def test_a_multipart_upload_is_granted_without_checksums_of_the_whole_and_for_longer() -> None:
    assert large(multipart=True) == Grant(
        "alice",
        ObjectKey("default", "photos", NAME, "bin"),
        "application/octet-stream",
        MAX_OBJECT,
        None,
        Filename("dump.tar.zst"),
        {},
        NOW,
        NOW + 64,
        scan=LARGE.scan,
    )
    assert large(multipart=True, checksum_sha256="nonsense", content_md5="nonsense") == large(multipart=True)


@pytest.mark.threat(11)
def test_a_required_checksum_is_of_the_file_in_one_request_and_of_its_parts_in_many() -> None:
    assert large(multipart=True, checksum_sha256=None).checksum_sha256 is None
    with pytest.raises(Refusal) as caught:
        large(multipart=False, checksum_sha256=None, size=5)  # the MD5 alone is not enough
    assert caught.value.code is Code.CHECKSUM_REQUIRED


@pytest.mark.threat(10)
def test_more_than_a_single_request_can_hold_is_refused_for_one() -> None:
    assert large(multipart=False, size=MAX_SINGLE_PUT).size == MAX_SINGLE_PUT
    for multipart, limit in ((False, MAX_SINGLE_PUT), (True, MAX_OBJECT)):
        with pytest.raises(Refusal) as caught:
            large(multipart=multipart, size=limit + 1)
        sentence = f"This policy takes files of at most {limit} bytes."
        assert (caught.value.code, caught.value.detail) == (Code.TOO_LARGE, sentence)


@pytest.mark.threat(10)
@pytest.mark.parametrize("multipart", [True, False])
def test_what_nobody_counted_is_granted_up_to_the_limit_of_the_policy(multipart: bool) -> None:  # noqa: FBT001 - as above
    grant = large(multipart=multipart, size=None)
    assert (grant.size, grant.exact) == (MAX_OBJECT, False)
    assert large(multipart=multipart, size=5).exact


def test_an_md5_is_granted_beside_or_instead_of_a_sha256() -> None:
    both = replace(WISH, content_md5=MD5)
    grants = [
        allow(ALICE, PHOTOS, wish, name=NAME, now=NOW) for wish in (WISH, both, replace(both, checksum_sha256=None))
    ]
    assert [(grant.checksum_sha256, grant.content_md5) for grant in grants] == [
        (SHA256, None),
        (SHA256, MD5),
        (None, MD5),
    ]


@pytest.mark.threat(11)
@pytest.mark.parametrize(
    "text", ["", MD5[:-1], MD5[:-3] + "x==", MD5.replace("=", ""), MD5 + "\n", SHA256, "0" * 32, MD5[:-2] + "=\u00e9"]
)
def test_no_other_text_is_an_md5(text: str) -> None:
    assert refusal(content_md5=text) == (
        Code.INVALID_REQUEST,
        "The checksum is the base64 of the 16 bytes of an MD5.",
    )


@pytest.mark.threat(11)
@given(st.binary(min_size=32, max_size=32))
def test_a_checksum_has_one_spelling(digest: bytes) -> None:
    text = base64.b64encode(digest).decode()
    assert check_sha256(text) == text
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(text[-2])
    with pytest.raises(Refusal):  # the same bytes, with a bit that no byte takes
        check_sha256(text[:-2] + alphabet[last + 1] + "=")


def test_a_name_for_the_upload_stands_in_the_key_where_one_is_given() -> None:
    oid = hashlib.sha256(b"content").hexdigest()
    grant = allow(ALICE, PHOTOS, WISH, name=oid, now=NOW, upload_name=NAME)
    assert grant.key == ObjectKey("default", "photos", oid, "jpg", NAME)
    assert (grant.key.content_addressed, grant.key.upload_key) == (True, f"incoming/default/photos/{NAME}.jpg")


def test_a_principal_acts_as_itself_and_as_others_only_where_it_may() -> None:
    key = replace(ALICE, on_behalf_of=True)
    assert [acting_as(ALICE, None), acting_as(ALICE, "alice"), acting_as(key, "bob")] == ["alice", "alice", "bob"]
    with pytest.raises(Refusal) as caught:
        acting_as(ALICE, "bob")
    assert caught.value.code is Code.FORBIDDEN
    with pytest.raises(Refusal) as caught:
        acting_as(key, "\n")
    assert caught.value.code is Code.INVALID_REQUEST
    assert allow(key, PHOTOS, replace(WISH, on_behalf_of="bob"), name=NAME, now=NOW).principal == "bob"


def test_links_live_as_their_policy_says_also_when_it_is_gone() -> None:
    assert TENANT.link_expires_in("photos") == 60
    assert TENANT.link_expires_in("gone") == LINK_EXPIRES_IN == 86_400


@pytest.mark.threat(1, 15)
@given(
    filename=st.text(max_size=40),
    content_type=st.sampled_from(sorted(MEDIA_TYPES)) | st.text(max_size=20),
    metadata=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.just("x"), max_size=3),
)
def test_whatever_is_wished_the_key_is_ours(filename: str, content_type: str, metadata: dict[str, str]) -> None:
    wish = Wanted(filename, content_type, 500, None, metadata)
    everything = replace(PHOTOS, media_types=MEDIA_TYPES)
    try:
        grant = allow(ALICE, everything, wish, name=NAME, now=NOW)
    except Refusal:
        return
    assert grant.key == ObjectKey("default", "photos", NAME, MEDIA_TYPES[grant.content_type].extensions[0])
