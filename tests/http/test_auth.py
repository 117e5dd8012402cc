import asyncio
import hashlib
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.errors import Code, Refusal
from gateway.grants.principals import Action, Kind, Limits, Principal
from gateway.http.auth import ApiKey, Authenticator, new_api_key
from gateway.settings import Settings

NOW = 1_760_000_000
SECRETS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(5)]
KEY = new_api_key(bytes(range(25)))
OTHER_KEY = new_api_key(bytes(range(100, 125)))
CLAIMS = {"iss": "https://idp.example", "aud": "gateway", "sub": "user 7", "exp": NOW + 300}


def tenant(secret: str, *keys: dict[str, Any]) -> dict[str, Any]:
    return {
        "app_secrets": [secret],
        "policies": {"photos": {"content_types": ["image/png"], "max_size": 1000}},
        "api_keys": keys,
    }


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    shop = {"id": KEY.id, "sha256": KEY.sha256, "actions": ["upload", "link"], "policies": ["photos"]}
    blog = {"id": OTHER_KEY.id, "sha256": OTHER_KEY.sha256, "actions": ["read"], "policies": [], "on_behalf_of": True}
    return Settings.model_validate(
        {
            "secret_keys": [SECRETS[0]],
            "bucket": "bucket",
            "region": "eu-central-1",
            "tenants": {"shop": tenant(SECRETS[1], shop), "blog": tenant(SECRETS[2], blog)},
            "jwt_issuers": [
                {
                    "issuer": "https://idp.example",
                    "audience": "gateway",
                    "algorithms": ["HS256"],
                    "secret": SECRETS[3],
                    "tenant": "shop",
                    "policies": ["photos"],
                }
            ],
        }
    )


@pytest.fixture
def authenticator(settings: Settings) -> Authenticator:
    return Authenticator(settings, settings.tokens())


def a_pass(settings: Settings, *, now: int = NOW) -> str:
    limits = Limits(max_size=10)
    return settings.tokens().app("shop").seal_pass("user 7", "photos", limits, now=now, expires_in=60)


async def assert_refused(authenticator: Authenticator, header: bytes | None) -> None:
    with pytest.raises(Refusal) as refused:
        await authenticator.authenticate(header, NOW)
    assert (refused.value.code, refused.value.detail) == (Code.UNAUTHENTICATED, Code.UNAUTHENTICATED.sentence)
    assert refused.value.__cause__ is None


def test_an_api_key_is_made_of_25_random_bytes_and_only_its_holder_has_its_text() -> None:
    expected = ApiKey(
        "aaaqeaye",
        "gwk_aaaqeaye_audaocajbifqydiob4ibceqtcqkrmfyy",
        hashlib.sha256(b"gwk_aaaqeaye_audaocajbifqydiob4ibceqtcqkrmfyy").hexdigest(),
    )

    assert new_api_key(bytes(range(25))) == expected
    assert KEY.text not in repr(KEY)
    with pytest.raises(ValueError, match="25 random bytes"):
        new_api_key(bytes(24))


async def test_an_api_key_proves_its_tenant_s_principal(authenticator: Authenticator) -> None:
    assert await authenticator.authenticate(f"Bearer {KEY.text}".encode(), NOW) == Principal(
        "shop",
        "key:aaaqeaye",
        Kind.API_KEY,
        frozenset({Action.UPLOAD, Action.LINK}),
        frozenset({"photos"}),
    )
    assert await authenticator.authenticate(f"Bearer {OTHER_KEY.text}".encode(), NOW) == Principal(
        "blog", f"key:{OTHER_KEY.id}", Kind.API_KEY, frozenset({Action.READ}), frozenset(), on_behalf_of=True
    )


async def test_a_jwt_proves_its_subject(authenticator: Authenticator) -> None:
    token = jwt.encode(CLAIMS, SECRETS[3], "HS256")

    assert await authenticator.authenticate(f"Bearer {token}".encode(), NOW) == Principal(
        "shop", "user 7", Kind.JWT, frozenset({Action.UPLOAD}), frozenset({"photos"})
    )


async def test_a_pass_proves_its_principal_within_its_limits(settings: Settings, authenticator: Authenticator) -> None:
    assert await authenticator.authenticate(f"Bearer {a_pass(settings)}".encode(), NOW) == Principal(
        "shop",
        "user 7",
        Kind.PASS,
        frozenset({Action.UPLOAD}),
        frozenset({"photos"}),
        limits=Limits(max_size=10),
    )


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer   {}", "Bearer {}  "])
async def test_the_scheme_is_case_insensitive_and_spaces_do_not_matter(authenticator: Authenticator, form: str) -> None:
    assert (await authenticator.authenticate(form.format(KEY.text).encode(), NOW)).tenant == "shop"


@pytest.mark.threat(27)
@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer gwk_",
        KEY.text.encode(),
        b"Basic " + KEY.text.encode(),
        b"Bearer\t" + KEY.text.encode(),
        b"Bearer:" + KEY.text.encode(),
        b"Bearer " + KEY.text[:-1].encode(),
        b"Bearer " + KEY.text.encode() + b"a",
        b"Bearer " + KEY.text.upper().encode(),
        b"Bearer " + KEY.text.encode() + b" " + KEY.text.encode(),
        b"Bearer gwk_zzzzzzzz_" + KEY.text[13:].encode(),
        b"Bearer " + KEY.text[:13].encode() + OTHER_KEY.text[13:].encode(),
        b"Bearer gwk_" + KEY.id.encode() + b"_" + KEY.sha256.encode(),
        b"Bearer gwk_" + KEY.id.encode() + "_é".encode(),
        b"Bearer gwk_\xff\xfe",
        "Bearer é".encode(),
        b"Bearer \xff",
        "Bearer eyJé.a.b".encode(),
        b"Bearer \x00",
        b"Bearer eyJ",
        b"Bearer shop.e30.AAAA",
        b"Bearer ..",
        b"Bearer " + b"a" * 10_000,
        b"Bearer gwk_" + b"a" * 10_000,
        b"Bearer eyJ" + b"a" * 1_000_000,
    ],
)
async def test_whatever_is_wrong_the_refusal_is_the_same(authenticator: Authenticator, header: bytes | None) -> None:
    await assert_refused(authenticator, header)


@pytest.mark.threat(28)
async def test_a_credential_above_8_kib_is_refused_even_if_it_would_be_good(authenticator: Authenticator) -> None:
    def bearer(padding: int) -> bytes:
        return f"Bearer {jwt.encode(CLAIMS | {'x': 'x' * padding}, SECRETS[3], 'HS256')}".encode()

    assert len(bearer(5900)) < 8192 < len(bearer(6100))
    assert (await authenticator.authenticate(bearer(5900), NOW)).kind is Kind.JWT
    await assert_refused(authenticator, bearer(6100))


async def test_a_pass_that_is_over_or_another_tenant_s_is_refused_as_unauthenticated(
    settings: Settings, authenticator: Authenticator
) -> None:
    good = a_pass(settings)

    await assert_refused(authenticator, f"Bearer {a_pass(settings, now=NOW - 60)}".encode())
    await assert_refused(authenticator, f"Bearer {good.replace('shop', 'blog', 1)}".encode())
    await assert_refused(authenticator, f"Bearer {good.replace('shop', 'none', 1)}".encode())


@pytest.mark.threat(4)
async def test_no_other_token_passes_for_a_pass(settings: Settings, authenticator: Authenticator) -> None:
    await assert_refused(authenticator, f"Bearer {settings.tokens().seal_cursor('shop', '', '')}".encode())


@pytest.mark.threat(46)
async def test_an_old_secret_opens_until_it_is_taken_out(settings: Settings) -> None:
    old_pass, old_cursor = a_pass(settings), settings.tokens().seal_cursor("shop", "", "key")

    def with_secrets(keys: list[str], app_secrets: list[str]) -> Settings:
        table = settings.model_dump(exclude={"jwt_issuers"}) | {"secret_keys": keys}
        table["tenants"]["shop"]["app_secrets"] = app_secrets
        return Settings.model_validate(table)

    rotated = with_secrets([SECRETS[0], "new-key-" + SECRETS[4]], [SECRETS[1], "new" + SECRETS[4]])
    assert (await Authenticator(rotated, rotated.tokens()).authenticate(f"Bearer {old_pass}".encode(), NOW)).name == (
        "user 7"
    )
    assert rotated.tokens().open_cursor(old_cursor, "shop", "") == "key"
    assert a_pass(rotated) != old_pass, "the newest secret seals"

    removed = with_secrets(["new-key-" + SECRETS[4]], ["new" + SECRETS[4]])
    await assert_refused(Authenticator(removed, removed.tokens()), f"Bearer {old_pass}".encode())
    with pytest.raises(Refusal, match="not-found"):
        removed.tokens().open_cursor(old_cursor, "shop", "")
    assert a_pass(removed) == a_pass(rotated)


@pytest.mark.threat(27, 35)
async def test_an_unknown_id_takes_as_long_as_a_wrong_secret(authenticator: Authenticator) -> None:
    async def seconds(header: bytes) -> float:
        started = time.perf_counter()
        for _ in range(200):
            with pytest.raises(Refusal):
                await authenticator.authenticate(header, NOW)
        return time.perf_counter() - started

    unknown, wrong = b"Bearer gwk_zzzzzzzz_" + b"a" * 32, b"Bearer gwk_" + KEY.id.encode() + b"_" + b"a" * 32
    rounds = [(await seconds(unknown), await seconds(wrong)) for _ in range(30)]

    assert 0.8 < statistics.median(first / second for first, second in rounds) < 1.25


@pytest.mark.threat(25, 27)
async def test_credentials_are_neither_logged_nor_shown(
    settings: Settings, authenticator: Authenticator, caplog: pytest.LogCaptureFixture
) -> None:
    jwt_text = jwt.encode(CLAIMS | {"exp": NOW - 1000}, SECRETS[3], "HS256")
    with caplog.at_level(logging.DEBUG):
        await authenticator.authenticate(f"Bearer {KEY.text}".encode(), NOW)
        for text in (KEY.text + "x", jwt_text, a_pass(settings) + "x"):
            await assert_refused(authenticator, f"Bearer {text}".encode())

    assert caplog.text == ""
    assert not any(secret in f"{settings!r} {settings} {authenticator!r}" for secret in (*SECRETS, KEY.text))


def test_an_api_key_never_waits(authenticator: Authenticator) -> None:
    step = authenticator.authenticate(f"Bearer {KEY.text}".encode(), NOW)
    with pytest.raises(StopIteration) as finished:
        step.send(None)
    assert finished.value.value.tenant == "shop"
    asyncio.run(authenticator.aclose())
