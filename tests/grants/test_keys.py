"""Keys: one form, one stage each, and nothing of a client in them."""

import hashlib
import secrets
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, Refusal
from gateway.grants.keys import FORM, NAME_BYTES, SEGMENT, ObjectKey

NAME = "0123456789abcdef0123456789abcdef"
SHA256 = hashlib.sha256(b"content").hexdigest()
KEY = ObjectKey("default", "photos", NAME, "jpg")


def refused(text: str) -> bool:
    for parse in (ObjectKey.parse_key, ObjectKey.parse_upload_key):
        with pytest.raises(Refusal) as caught:
            parse(text)
        assert (caught.value.code, caught.value.detail) == (Code.NOT_FOUND, Code.NOT_FOUND.sentence)
    return True


def test_a_key_has_the_same_name_in_quarantine_and_once_promoted() -> None:
    assert KEY.key == f"objects/default/photos/{NAME}.jpg"
    assert KEY.upload_key == f"incoming/default/photos/{NAME}.jpg"
    assert ObjectKey.parse_key(KEY.key) == ObjectKey.parse_upload_key(KEY.upload_key) == KEY


def test_a_random_name_says_nothing_of_how_its_upload_is_judged() -> None:
    assert (KEY.by_form, KEY.content_addressed, KEY.upload_name) == (False, False, "")
    assert KEY.state_key == KEY.upload_key


def test_the_marker_of_a_form_lies_where_no_client_writes() -> None:
    by_form = replace(KEY, name=f"{NAME}form")
    assert (by_form.by_form, by_form.content_addressed) == (True, False)
    assert by_form.upload_key == f"incoming/default/photos/{NAME}form.jpg"
    assert by_form.state_key == f"incoming/default/photos/{NAME}form.jpg/claim"
    assert ObjectKey.parse_key(by_form.key) == ObjectKey.parse_upload_key(by_form.upload_key) == by_form
    assert refused(by_form.state_key)


def test_what_lies_right_below_a_form_s_upload_is_that_upload_s() -> None:
    by_form = replace(KEY, name=f"{NAME}form")
    for text in (by_form.upload_key, by_form.state_key, f"{by_form.upload_key}/nonce", f"{by_form.upload_key}/"):
        assert ObjectKey.parse_below(text) == by_form
    assert ObjectKey.parse_below(KEY.upload_key) == KEY


@pytest.mark.parametrize(
    "text",
    ["", "/", "/claim", KEY.key, f"{KEY.key}/claim", f"{KEY.upload_key}/claim"]
    + [f"incoming/default/photos/{NAME}form.jpg/{rest}" for rest in ("claim/claim", "/claim")]
    + [f"objects/default/photos/{NAME}form.jpg/claim", f"incoming/default/photos/{NAME}form.jpg\n"],
)
def test_nothing_else_lies_below_an_upload(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        ObjectKey.parse_below(text)
    assert caught.value.code is Code.NOT_FOUND


def test_an_upload_to_the_address_of_its_content_has_a_random_name_of_its_own() -> None:
    addressed = replace(KEY, name=SHA256, upload_name=NAME)
    assert (addressed.content_addressed, addressed.by_form) == (True, False)
    assert addressed.key == f"objects/default/photos/{SHA256}.jpg"
    assert addressed.upload_key == addressed.state_key == f"incoming/default/photos/{NAME}.jpg"
    # The one name does not tell the other: that is for the grant to say.
    assert ObjectKey.parse_key(addressed.key) == replace(addressed, upload_name="")
    assert ObjectKey.parse_upload_key(addressed.upload_key) == KEY


@pytest.mark.parametrize(
    ("name", "by_form", "content_addressed"),
    [
        (SHA256, False, True),
        (SHA256[:-1], False, False),
        (SHA256 + "0", False, False),
        (SHA256[:-1] + "g", False, False),
        (NAME + "for", False, False),
        (NAME + "formm", False, False),
        ("form" + NAME, False, False),
        (SHA256[:-4] + "form", True, False),
        (SHA256 + "form", True, False),
    ],
)
def test_no_name_is_both_of_a_form_and_of_a_content(name: str, by_form: bool, content_addressed: bool) -> None:  # noqa: FBT001 - columns of the table
    key = replace(KEY, name=name)
    assert (key.by_form, key.content_addressed) == (by_form, content_addressed)


@pytest.mark.parametrize("name", [NAME, SHA256])
def test_a_name_made_of_hexadecimal_digits_is_never_a_form_s(name: str) -> None:
    assert not set(FORM) <= set(string.hexdigits)
    assert not replace(KEY, name=name).by_form


def test_a_key_is_read_only_in_its_own_stage() -> None:
    for parse, text in ((ObjectKey.parse_key, KEY.upload_key), (ObjectKey.parse_upload_key, KEY.key)):
        with pytest.raises(Refusal):
            parse(text)


def test_a_random_name_has_128_bits_and_fits() -> None:
    name = secrets.token_hex(NAME_BYTES)
    assert NAME_BYTES * 8 >= 128
    key = ObjectKey("a", "b", name, "txt")
    assert ObjectKey.parse_key(key.key) == key


@pytest.mark.threat(1, 35)
def test_a_key_of_another_tenant_is_like_none() -> None:
    assert KEY.of("default") is KEY
    with pytest.raises(Refusal) as caught:
        KEY.of("other")
    assert (caught.value.code, caught.value.detail) == (Code.NOT_FOUND, Code.NOT_FOUND.sentence)


@pytest.mark.threat(15)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "objects",
        "objects/",
        f"/objects/default/photos/{NAME}.jpg",
        f"objects/default/photos/{NAME}.jpg/",
        f"objects/default/photos/{NAME}.jpg\n",
        f"objects/default/photos/{NAME}.jpg\0",
        f"objects//photos/{NAME}.jpg",
        f"objects/default//{NAME}.jpg",
        f"objects/../photos/{NAME}.jpg",
        f"objects/./photos/{NAME}.jpg",
        f"objects/default/photos/../{NAME}.jpg",
        f"objects/default/photos/more/{NAME}.jpg",
        f"objects/Default/photos/{NAME}.jpg",
        f"objects/-default/photos/{NAME}.jpg",
        f"objects/default-/photos/{NAME}.jpg",
        f"objects/{'x' * 64}/photos/{NAME}.jpg",
        f"objects/dé/photos/{NAME}.jpg",
        f"objects/default/photos/{NAME.upper()}.jpg",
        f"objects/default/photos/{NAME}",
        f"objects/default/photos/{NAME}.",
        f"objects/default/photos/{NAME}.JPG",
        f"objects/default/photos/{NAME}.jpg.html",
        f"objects/default/photos/{NAME}.{'x' * 11}",
        "objects/default/photos/tooshort.jpg",
        f"objects/default/photos/{'x' * 129}.jpg",
        f"objects/default/photos/{NAME}٣.jpg",
        f"objects/default/photos/%2e%2e/{NAME}.jpg",
        f"objects\\default\\photos\\{NAME}.jpg",
        f"elsewhere/default/photos/{NAME}.jpg",
        "soap",
        "x" * 1025,
        "é" * 513,
    ],
)
def test_anything_else_is_no_key(text: str) -> None:
    assert refused(text)
    assert refused(text.replace("objects", "incoming", 1))


@pytest.mark.threat(15)
@given(st.text(max_size=80))
def test_no_text_is_a_key(text: str) -> None:
    assert refused(text)


@pytest.mark.threat(15)
@pytest.mark.parametrize("plane", range(17))
def test_no_code_point_but_lower_case_ascii_stands_in_a_key(plane: int) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789")
    for number in range(plane * 0x10000, (plane + 1) * 0x10000):
        character = chr(number)
        if character in allowed:
            continue
        # A hyphen may stand within a tenant's name, a dot before the extension and a slash between two segments: there.
        try:
            ObjectKey.parse_key(f"objects/default/photos/{NAME[:16]}{character}{NAME[16:]}.jpg")
        except Refusal:
            continue
        raise AssertionError(hex(number))


@given(
    st.builds(
        ObjectKey,
        tenant=st.from_regex(SEGMENT, fullmatch=True),
        policy=st.from_regex(SEGMENT, fullmatch=True),
        name=st.from_regex(r"[a-z0-9]{26,128}", fullmatch=True),
        extension=st.from_regex(r"[a-z0-9]{1,10}", fullmatch=True),
    )
)
def test_every_key_reads_back_and_is_short_enough_for_s3(key: ObjectKey) -> None:
    assert ObjectKey.parse_key(key.key) == key
    assert ObjectKey.parse_upload_key(key.upload_key) == key
    assert len(key.upload_key) <= 1024
