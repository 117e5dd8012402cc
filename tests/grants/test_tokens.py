"""What is sealed opens only for its purpose, its tenant and its time; the formats are pinned by published vectors."""

import base64
import hashlib
import itertools
import json
import re
import string
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.app_tokens import AppTokens, Link, Receipt
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant, Tenant
from gateway.grants.principals import Action, Kind, Limits, Principal
from gateway.grants.seals import MAX_TOKEN, Seal, decode, encode
from gateway.grants.tickets import Multipart, Ticket
from gateway.grants.tokens import Tokens
from gateway.s3.parts import MAX_OBJECT, MAX_PART

NOW = 1_800_000_000
KEY = ObjectKey("default", "photos", "0123456789abcdef0123456789abcdef", "jpg")
LINK = Link(KEY, Filename("Zürich.jpg"), "inline", NOW, NOW + 86_400, 0)
RECEIPT = Receipt(
    KEY,
    12_345,
    "image/jpeg",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "full",
    '"d41d8cd98f00b204e9800998ecf8427e"',
    "alice",
    NOW,
    NOW + 604_800,
)
LIMITS = Limits(10_000_000, frozenset({"image/jpeg"}))
SHA256, MD5 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "1B2M2Y8AsgTpgAmY7PhCfg=="
MULTIPART_TICKET = Ticket(
    Grant(
        "alice",
        ObjectKey("default", "videos", KEY.name, "bin"),
        "application/octet-stream",
        300_000_000,
        None,
        Filename("Zürich.mov"),
        {"album": "sea"},
        NOW,
        NOW + 86_400,
    ),
    Multipart("2~iCw_lDY8VoBhoRrIJbPMrUqnE3Z-3Qh", 8_388_608, checksums=True),
)
ADDRESSED_GRANT = Grant(
    "alice",
    ObjectKey("default", "lfs", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "bin", KEY.name),
    "application/octet-stream",
    5_368_709_120,
    SHA256,
    Filename("empty.bin"),
    {},
    NOW,
    NOW + 3600,
    exact=False,
    content_md5=MD5,
)
GRANT = Grant("alice", KEY, "image/jpeg", 12_345, None, Filename("Zürich.jpg"), {"a": "b"}, NOW, NOW + 3600)

VECTORS = json.loads(
    re.findall(r"```json\n(.*?)```", Path("docs/tokens.md").read_text(encoding="utf-8"), flags=re.DOTALL)[0]
)
APP_SECRET = VECTORS[0]["secret"].encode()
SECRET_KEY = next(vector["secret"] for vector in VECTORS if vector["purpose"] == "ticket").encode()


def app_tokens(tenant: Tenant | None = None, *secrets: bytes) -> AppTokens:
    return AppTokens(tenant or Tenant("default"), secrets or [APP_SECRET])


def tokens(*secret_keys: bytes) -> Tokens:
    return Tokens(secret_keys or [SECRET_KEY], {"default": app_tokens()})


def refused(open_token: Callable[[], object]) -> bool:
    with pytest.raises(Refusal) as caught:
        open_token()
    return caught.value.code is Code.NOT_FOUND


def test_the_published_vectors_are_what_python_seals() -> None:
    app = app_tokens()
    assert {
        "link": app.seal_link(LINK),
        "pass": app.seal_pass("alice", "photos", LIMITS, now=NOW, expires_in=3600),
        "receipt": app.seal_receipt(RECEIPT),
        "ticket": tokens().seal_ticket(MULTIPART_TICKET),
        "grant": tokens().seal_grant_token(ADDRESSED_GRANT),
    } == {vector["purpose"]: vector["token"] for vector in VECTORS}


def test_the_published_vectors_are_what_javascript_seals_from_the_documentation() -> None:
    script = Path(__file__).with_name("tokens.mjs")
    done = subprocess.run(
        ["node", str(script)], input=json.dumps(VECTORS), capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(done.stdout) == [vector["token"] for vector in VECTORS]


def test_the_published_vectors_open_to_what_was_sealed() -> None:
    app, sealed = app_tokens(), {vector["purpose"]: vector["token"] for vector in VECTORS}
    assert app.open_link(sealed["link"], NOW) == LINK
    assert app.open_receipt(sealed["receipt"], NOW) == RECEIPT
    assert tokens().open_ticket(sealed["ticket"], NOW) == MULTIPART_TICKET
    assert tokens().open_grant(sealed["grant"]) == ADDRESSED_GRANT
    assert app.open_pass(sealed["pass"], NOW) == Principal(
        "default",
        "alice",
        Kind.PASS,
        frozenset({Action.UPLOAD}),
        frozenset({"photos"}),
        limits=LIMITS,
    )


def test_a_seal_is_what_itsdangerous_makes_with_hmac_derivation() -> None:
    signer = Signer(SECRET_KEY, salt=b"ticket", key_derivation="hmac", digest_method=hashlib.sha256)
    assert Seal("ticket", [SECRET_KEY]).seal(encode({"hello": "wörld"})).encode() == signer.sign(
        encode({"hello": "wörld"})
    )


def test_a_ticket_and_a_grant_token_open_to_the_grant() -> None:
    ticket, grant_token = tokens().seal_grant(GRANT)
    assert tokens().open_ticket(ticket, NOW) == Ticket(GRANT)
    assert tokens().open_grant(grant_token) == GRANT
    assert (tokens().seal_ticket(Ticket(GRANT)), tokens().seal_grant_token(GRANT)) == (ticket, grant_token)


TICKETS = {
    "parts": Ticket(GRANT, Multipart("2~an.upload_id-of/some+store=", 8_388_608)),
    "parts with checksums": Ticket(GRANT, Multipart("an-upload-id", 5_242_880, checksums=True)),
    "parts as the client likes": Ticket(replace(GRANT, exact=False), Multipart("an-upload-id", None)),
    "a limit": Ticket(replace(GRANT, exact=False)),
    "checksums": Ticket(replace(GRANT, checksum_sha256=SHA256, content_md5=MD5)),
    "a form": Ticket(replace(GRANT, key=replace(KEY, name=f"{KEY.name}form"), exact=False)),
    "a content": Ticket(replace(GRANT, key=replace(KEY, name="0" * 64, upload_name=KEY.name), size=0)),
    "no metadata": Ticket(replace(GRANT, metadata={})),
}


@pytest.mark.parametrize("ticket", TICKETS.values(), ids=TICKETS)
def test_every_kind_of_ticket_opens_to_what_was_sealed(ticket: Ticket) -> None:
    assert tokens().open_ticket(tokens().seal_ticket(ticket), NOW) == ticket
    assert tokens().open_grant(tokens().seal_grant_token(ticket.grant)) == ticket.grant


@given(
    st.builds(
        replace,
        st.just(GRANT),
        key=st.builds(replace, st.just(KEY), upload_name=st.just("") | st.from_regex(r"[0-9a-f]{32}", fullmatch=True)),
        size=st.integers(0, MAX_OBJECT),
        exact=st.booleans(),
        checksum_sha256=st.none() | st.just(SHA256),
        content_md5=st.none() | st.just(MD5),
        metadata=st.dictionaries(st.text(), st.text(), max_size=3),
    ),
    st.none() | st.builds(Multipart, st.text(max_size=200), st.none() | st.integers(1, MAX_PART), st.booleans()),
)
def test_no_ticket_loses_anything_in_its_token(grant: Grant, multipart: Multipart | None) -> None:
    ticket = Ticket(grant, multipart)
    token = tokens().seal_ticket(ticket)
    if len(token) <= MAX_TOKEN:
        assert tokens().open_ticket(token, NOW) == ticket


@pytest.mark.threat(4, 5)
def test_the_upload_id_stands_in_the_ticket_alone() -> None:
    grant_token = tokens().seal_grant_token(TICKETS["parts"].grant)
    assert set(decode(grant_token.partition(".")[0].encode())) == {"sub", "key", "size", "name", "iat", "exp", "meta"}


def openers(sealed: Tokens) -> dict[str, Callable[[str], object]]:
    return {
        "ticket": lambda token: sealed.open_ticket(token, NOW),
        "ticket of parts": lambda token: sealed.open_ticket(token, NOW),
        "grant": sealed.open_grant,
        "pass": lambda token: sealed.open_pass(token, NOW),
        "link": lambda token: sealed.open_link(token, NOW),
        "receipt": lambda token: sealed.app("default").open_receipt(token, NOW),
        "cursor": lambda token: sealed.open_cursor(token, "default", "objects/default/"),
    }


def sealed_tokens(sealed: Tokens) -> dict[str, str]:
    ticket, grant_token = sealed.seal_grant(GRANT)
    app = sealed.app("default")
    return {
        "ticket": ticket,
        "ticket of parts": sealed.seal_ticket(TICKETS["parts"]),
        "grant": grant_token,
        "pass": app.seal_pass("alice", "photos", Limits(), now=NOW, expires_in=3600),
        "link": app.seal_link(LINK),
        "receipt": app.seal_receipt(RECEIPT),
        "cursor": sealed.seal_cursor("default", "objects/default/", KEY.key),
    }


PURPOSES = ["ticket", "ticket of parts", "grant", "pass", "link", "receipt", "cursor"]


DOORS = [  # both kinds of ticket open at the one door for tickets
    (made_for, door)
    for made_for, door in itertools.permutations(PURPOSES, 2)
    if made_for.partition(" ")[0] != door.partition(" ")[0]
]


@pytest.mark.threat(4)
@pytest.mark.parametrize(("made_for", "spent_as"), DOORS)
def test_a_token_for_one_purpose_opens_nothing_else(made_for: str, spent_as: str) -> None:
    token = sealed_tokens(tokens())[made_for]
    assert openers(tokens())[made_for](token)
    assert refused(lambda: openers(tokens())[spent_as](token))


@pytest.mark.threat(6, 7)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_no_token_opens_with_any_character_changed(purpose: str) -> None:
    token = sealed_tokens(tokens())[purpose]
    for place, character in enumerate(token):
        for other in set("Aa0_-.B9") - {character}:
            forged = token[:place] + other + token[place + 1 :]
            assert refused(lambda forged=forged: openers(tokens())[purpose](forged)), forged  # type: ignore[misc]


@pytest.mark.threat(6, 7)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_token_has_only_one_spelling(purpose: str) -> None:
    token = sealed_tokens(tokens())[purpose]
    alphabet = string.ascii_letters + string.digits + "-_"
    last_characters = [token[:-1] + last for last in alphabet if last != token[-1]]
    for forged in [*last_characters, token + "=", token + "\n", token + "é", " " + token, token.replace(".", "é.", 1)]:
        assert refused(lambda forged=forged: openers(tokens())[purpose](forged))  # type: ignore[misc]


@given(st.text(max_size=200))
def test_no_text_is_a_token(text: str) -> None:
    for opener in openers(tokens()).values():
        assert refused(lambda opener=opener: opener(text))  # type: ignore[misc]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(["pass", "link", "receipt"]),
)
def test_an_application_that_seals_nonsense_is_refused_and_breaks_nothing(nonsense: object, purpose: str) -> None:
    payload = base64.urlsafe_b64encode(json.dumps(nonsense).encode()).rstrip(b"=")
    token = Seal(purpose, [APP_SECRET], "default").seal(payload)
    assert refused(lambda: openers(tokens())[purpose](token))


def link_fields(**changes: object) -> str:
    fields = {"key": KEY.key, "as": "inline", "name": "a.jpg", "iat": NOW, "exp": NOW + 60, "epoch": 0, **changes}
    return Seal("link", [APP_SECRET], "default").seal(encode(fields))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "objects/other/photos/0123456789abcdef0123456789abcdef.jpg"},
        {"key": "incoming/default/photos/0123456789abcdef0123456789abcdef.jpg"},
        {"key": "objects/default/../other/photos/0123456789abcdef0123456789abcdef.jpg"},
        {"key": None},
        {"exp": True},
        {"exp": "soon"},
        {"exp": None},
        {"iat": 1.5},
        {"iat": None},
        {"epoch": None},
        {"name": ""},
        {"name": 5},
        {"name": "x" * 1201},
    ],
)
def test_a_link_with_a_field_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    assert app_tokens().open_link(link_fields(), NOW)
    assert refused(lambda: app_tokens().open_link(link_fields(**changes), NOW))


@pytest.mark.threat(6)
def test_a_token_dies_in_the_second_it_says() -> None:
    ticket = tokens().seal_grant(GRANT)[0]
    link = app_tokens().seal_link(LINK)
    assert tokens().open_ticket(ticket, GRANT.expires_at - 1)
    assert refused(lambda: tokens().open_ticket(ticket, GRANT.expires_at))
    assert app_tokens().open_link(link, NOW + 86_399)
    assert refused(lambda: app_tokens().open_link(link, NOW + 86_400))


@pytest.mark.threat(49)
def test_a_token_from_a_clock_that_runs_ahead_is_taken_for_five_minutes() -> None:
    ticket = tokens().seal_grant(GRANT)[0]
    assert tokens().open_ticket(ticket, NOW - 2)
    assert tokens().open_ticket(ticket, NOW - 300)
    assert refused(lambda: tokens().open_ticket(ticket, NOW - 301))


def test_a_grant_token_outlives_its_ticket() -> None:
    assert tokens().open_grant(tokens().seal_grant(GRANT)[1]) == GRANT


@pytest.mark.threat(46)
def test_tokens_of_an_older_secret_open_until_it_is_removed() -> None:
    old, new = b"the old secret key, 32 bytes or more ok", b"the new secret key, 32 bytes or more ok"
    ticket = tokens(old).seal_grant(GRANT)[0]
    assert tokens(old, new).open_ticket(ticket, NOW) == Ticket(GRANT)
    assert tokens(old, new).seal_grant(GRANT)[0] == tokens(new).seal_grant(GRANT)[0]
    assert refused(lambda: tokens(new).open_ticket(ticket, NOW))


@pytest.mark.threat(1)
def test_a_tenant_cannot_seal_for_another() -> None:
    other = AppTokens(Tenant("other"), [b"the app secret of another tenant, 32 up"])
    assert refused(lambda: other.seal_link(LINK))
    forged = Seal("link", [b"the app secret of another tenant, 32 up"], "default").seal(encode({"key": KEY.key}))
    assert refused(lambda: tokens().open_link(forged, NOW))
    assert refused(lambda: tokens().open_link(forged.replace("default", "unknown", 1), NOW))


@pytest.mark.threat(47)
def test_raising_the_link_epoch_revokes_older_links() -> None:
    link = app_tokens().seal_link(LINK)
    assert app_tokens(Tenant("default", link_epoch=0)).open_link(link, NOW)
    assert refused(lambda: app_tokens(Tenant("default", link_epoch=1)).open_link(link, NOW))


def test_a_link_without_an_end_opens_only_where_the_tenant_allows_it() -> None:
    endless = link_fields(exp=None)
    assert app_tokens(Tenant("default", unlimited_links=True)).open_link(endless, NOW + 10**9).expires_at is None
    assert refused(lambda: app_tokens().open_link(endless, NOW))


def test_a_link_of_more_than_366_days_opens_only_where_the_tenant_allows_it() -> None:
    year, longer = link_fields(exp=NOW + 366 * 86_400), link_fields(exp=NOW + 366 * 86_400 + 1)
    assert app_tokens().open_link(year, NOW).expires_at == NOW + 366 * 86_400
    assert refused(lambda: app_tokens().open_link(longer, NOW))
    allowed = app_tokens(Tenant("default", unlimited_links=True))
    assert allowed.open_link(longer, NOW).expires_at == NOW + 366 * 86_400 + 1


def test_a_pass_for_more_than_a_day_is_refused() -> None:
    token = app_tokens().seal_pass("alice", "photos", Limits(), now=NOW, expires_in=86_401)
    assert refused(lambda: app_tokens().open_pass(token, NOW))


def test_a_cursor_is_good_for_its_own_listing_only() -> None:
    cursor = tokens().seal_cursor("default", "objects/default/a", KEY.key)
    assert tokens().open_cursor(cursor, "default", "objects/default/a") == KEY.key
    assert refused(lambda: tokens().open_cursor(cursor, "default", "objects/default/b"))
    assert refused(lambda: tokens().open_cursor(cursor, "other", "objects/default/a"))
