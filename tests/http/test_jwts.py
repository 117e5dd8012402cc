import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.errors import Code, Refusal
from gateway.grants.principals import Action, Kind, Principal
from gateway.http.jwts import Jwts
from gateway.setting_sources import SettingsError
from gateway.setting_tables import JwtSettings
from tests.servers import jwks as jwks_server

NOW = 1_760_000_000
YEAR = 366 * 86_400
ISSUER = "https://idp.example"
SECRET = hashlib.sha256(b"an HMAC secret of a test").hexdigest()
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(65537, 2048)
PEM = RSA_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
RSA_JWK: dict[str, Any] = RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa"}
EC_JWK: dict[str, Any] = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"}
ED_JWK: dict[str, Any] = OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True) | {"kid": "ed"}
STRANGER_JWK: dict[str, Any] = RSAAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True) | {"kid": "rsa"}
CLAIMS: dict[str, Any] = {"iss": ISSUER, "aud": "gateway", "sub": "user 7", "exp": NOW + 300}
POLICIES = {"shop": frozenset({"photos", "papers"}), "blog": frozenset({"photos"})}
USER = Principal("shop", "user 7", Kind.JWT, frozenset({Action.UPLOAD}), frozenset({"photos"}))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: object, payload: object, signature: Callable[[bytes], bytes]) -> str:
    """Write a token with exactly these parts; bytes go in as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = ".".join(map(b64, parts))
    return f"{text}.{b64(signature(text.encode()))}"


def by_rsa(data: bytes) -> bytes:
    return jwt.get_algorithm_by_name("RS256").sign(data, RSA_KEY)


def by_hmac(key: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.digest(key, data, "sha256")


def rs256(**claims: object) -> str:
    """Write a good token, but for the claims given; None takes one out."""
    payload = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return signed({"alg": "RS256", "kid": "rsa"}, payload, by_rsa)


def headed(**header: object) -> str:
    return signed({"alg": "RS256", "kid": "rsa"} | header, CLAIMS, by_rsa)


def issuer(**settings: object) -> JwtSettings:
    table = {"issuer": ISSUER, "audience": "gateway", "tenant": "shop", "policies": ["photos"]}
    return JwtSettings.model_validate(table | settings)


@pytest.fixture
def jwks_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [RSA_JWK, EC_JWK, ED_JWK]}))
    return path


@pytest.fixture
def jwts(jwks_file: Path) -> Jwts:
    return Jwts([issuer(algorithms=["RS256", "ES256", "EdDSA"], jwks_file=jwks_file)], POLICIES)


@pytest.fixture
def hs256() -> Jwts:
    return Jwts([issuer(algorithms=["HS256"], secret=SECRET)], POLICIES)


async def assert_refused(jwts: Jwts, token: str, now: int = NOW) -> None:
    with pytest.raises(Refusal) as refused:
        await jwts.open(token, now)
    assert refused.value.code is Code.UNAUTHENTICATED
    assert refused.value.detail == Code.UNAUTHENTICATED.sentence
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("algorithm", "key", "kid"), [("RS256", RSA_KEY, "rsa"), ("ES256", EC_KEY, "ec"), ("EdDSA", ED_KEY, "ed")]
)
async def test_each_asymmetric_algorithm_proves_a_principal(jwts: Jwts, algorithm: str, key: Any, kid: str) -> None:  # noqa: ANN401 - three kinds of key
    token = jwt.encode(CLAIMS, key, algorithm, {"kid": kid})

    assert await jwts.open(token, NOW) == USER


@pytest.mark.parametrize("headers", [{}, {"kid": "whatever"}, {"typ": "at+jwt"}, {"typ": "JWT"}, {"typ": None}])
async def test_a_secret_proves_a_principal_and_needs_no_key_id(hs256: Jwts, headers: dict[str, Any]) -> None:
    assert await hs256.open(jwt.encode(CLAIMS, SECRET, "HS256", headers), NOW) == USER


async def test_keys_come_from_an_address_and_rotate() -> None:
    async with jwks_server.running() as server:
        jwts = Jwts([issuer(algorithms=["RS256", "ES256"], jwks_url=server.url)], POLICIES)
        server.serve(RSA_JWK)
        assert await jwts.open(rs256(), NOW) == USER
        server.serve(EC_JWK)
        later = CLAIMS | {"exp": NOW + 600}
        assert await jwts.open(jwt.encode(later, EC_KEY, "ES256", {"kid": "ec"}), NOW + 30) == USER
        await assert_refused(jwts, rs256(exp=NOW + 600), NOW + 31)
        await jwts.aclose()


def test_a_file_without_keys_ends_the_start_naming_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}')

    with pytest.raises(SettingsError) as ended:
        Jwts([issuer(algorithms=["RS256"], jwks_file=path)], POLICIES)

    assert str(ended.value) == "GATEWAY_JWT_ISSUERS has a jwks_file without keys for RS256, ES256 or EdDSA."
    assert ended.value.__context__ is None


FORGERIES: dict[str, str] = {
    **{
        f"alg {alg}": signed({"alg": alg}, CLAIMS, lambda _: b"")
        for alg in ("none", "None", "nOnE", "NONE", "", "none ", None, 1, ["none"])
    },
    **{f"alg {alg} and a kid": signed({"alg": alg, "kid": "rsa"}, CLAIMS, by_rsa) for alg in ("none", "nOnE")},
    "no alg": signed({"kid": "rsa"}, CLAIMS, by_rsa),
    "the PEM as an HMAC secret": signed({"alg": "HS256", "kid": "rsa"}, CLAIMS, by_hmac(PEM)),
    "the PEM without its last line end": signed({"alg": "HS256", "kid": "rsa"}, CLAIMS, by_hmac(PEM.strip())),
    "the modulus as an HMAC secret": signed({"alg": "HS256", "kid": "rsa"}, CLAIMS, by_hmac(RSA_JWK["n"].encode())),
    "a short HMAC secret": signed({"alg": "HS256", "kid": "rsa"}, CLAIMS, by_hmac(b"abc")),
    "an empty HMAC secret": signed({"alg": "HS256"}, CLAIMS, by_hmac(b"")),
    "an algorithm that is not listed": jwt.encode(CLAIMS, RSA_KEY, "RS512", {"kid": "rsa"}),
    "an algorithm of another key": jwt.encode(CLAIMS, EC_KEY, "ES256", {"kid": "rsa"}),
    "a key of another algorithm": headed(kid="ec"),
    "a stranger's key": jwt.encode(CLAIMS, STRANGER, "RS256", {"kid": "rsa"}),
    "a stranger's key sent along": jwt.encode(CLAIMS, STRANGER, "RS256", {"kid": "rsa", "jwk": STRANGER_JWK}),
    "a stranger's key sent along without kid": jwt.encode(CLAIMS, STRANGER, "RS256", {"jwk": STRANGER_JWK}),
    "kid of a file": headed(kid="../../dev/null"),
    "kid unknown": headed(kid="RSA"),
    "kid a number": headed(kid=1),
    "kid null": headed(kid=None),
    "kid a list": headed(kid=["rsa"]),
    "kid missing among three keys": signed({"alg": "RS256"}, CLAIMS, by_rsa),
    "crit unknown": headed(crit=["x"], x=1),
    "crit b64": headed(crit=["b64"], b64=True),
    "crit empty": headed(crit=[]),
    "crit null": headed(crit=None),
    "b64 false": headed(b64=False),
    "typ of a proof": headed(typ="dpop+jwt"),
    "typ of a logout": headed(typ="logout+jwt"),
    "typ a number": headed(typ=1),
    "no exp": rs256(exp=None),
    "no aud": rs256(aud=None),
    "no iss": rs256(iss=None),
    "no sub": rs256(sub=None),
    "iss of another": rs256(iss="https://evil.example"),
    "iss a prefix": rs256(iss=ISSUER[:-1]),
    "iss with more behind it": rs256(iss=f"{ISSUER}.evil.example"),
    "iss with a slash": rs256(iss=f"{ISSUER}/"),
    "iss a list": rs256(iss=[ISSUER]),
    "aud of another": rs256(aud="other"),
    "aud a prefix": rs256(aud="gate"),
    "aud with more behind it": rs256(aud="gateway2"),
    "aud empty": rs256(aud=""),
    "aud an empty list": rs256(aud=[]),
    "aud a table": rs256(aud={"gateway": 1}),
    "aud a list with a number": rs256(aud=["gateway", 1]),
    "exp past": rs256(exp=NOW - 60),
    "exp a text": rs256(exp=str(NOW + 300)),
    "exp true": rs256(exp=True),
    "exp a list": rs256(exp=[NOW + 300]),
    "exp 1e308": rs256(exp=1e308),
    "exp infinite": rs256(exp=float("inf")),
    "exp not a number": rs256(exp=float("nan")),
    "exp beyond a year": rs256(exp=NOW + YEAR + 1),
    "exp of 5000 digits": signed(
        {"alg": "RS256", "kid": "rsa"}, json.dumps(CLAIMS)[:-1].encode() + b', "exp": ' + b"9" * 5000 + b"}", by_rsa
    ),
    "nbf to come": rs256(nbf=NOW + 61),
    "nbf a text": rs256(nbf=str(NOW)),
    "nbf not a number": rs256(nbf=float("nan")),
    "iat to come": rs256(iat=NOW + 61),
    "iat null-like": rs256(iat=False),
    "sub empty": rs256(sub=""),
    "sub a number": rs256(sub=7),
    "sub of 129 bytes": rs256(sub="é" * 64 + "x"),
    "sub with a line end": rs256(sub="a\nb"),
    "sub with a lone surrogate": rs256(sub="a\ud800"),
    "sub that plays an API key": rs256(sub="key:abcdefgh"),
    "an empty payload": signed({"alg": "RS256", "kid": "rsa"}, b"", by_rsa),
    "a payload that is a list": signed({"alg": "RS256", "kid": "rsa"}, [CLAIMS], by_rsa),
    "a payload that is not UTF-8": signed({"alg": "RS256", "kid": "rsa"}, b'{"iss":"\xff"}', by_rsa),
    "a payload of brackets": signed({"alg": "RS256", "kid": "rsa"}, b"[" * 5000, by_rsa),
    "a header of brackets": signed(b'{"a":' * 1000, CLAIMS, by_rsa),
    "a header that is a list": signed(["RS256"], CLAIMS, by_rsa),
    "two parts": rs256().rpartition(".")[0],
    "four parts": rs256() + ".AAAA",
    "five parts": "eyJhbGciOiJkaXIifQ..a.b.c",
    "no signature": rs256().rpartition(".")[0] + ".",
    "not base64": "eyJ!.eyJ!.!",
    "a space inside": rs256().replace(".", ". ", 1),
}


@pytest.mark.threat(28)
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_or_unfit_token_is_refused(jwts: Jwts, forgery: str) -> None:
    await assert_refused(jwts, FORGERIES[forgery])


@pytest.mark.threat(28)
async def test_every_changed_byte_of_the_payload_is_refused(jwts: Jwts) -> None:
    token = rs256()
    header, payload, signature = token.split(".")
    for place, letter in enumerate(payload):
        other = "B" if letter == "A" else "A"
        await assert_refused(jwts, f"{header}.{payload[:place]}{other}{payload[place + 1 :]}.{signature}")


@pytest.mark.threat(28)
async def test_addresses_in_a_token_are_never_asked(jwts: Jwts) -> None:
    async with jwks_server.running() as server:
        server.serve(STRANGER_JWK)
        for name in ("jku", "x5u"):
            await assert_refused(jwts, jwt.encode(CLAIMS, STRANGER, "RS256", {"kid": "rsa", name: server.url}))
            assert await jwts.open(headed(**{name: server.url, "jwk": STRANGER_JWK}), NOW) == USER
        assert server.requests == []


@pytest.mark.threat(28)
async def test_a_public_key_token_is_no_token_of_an_hmac_issuer(hs256: Jwts) -> None:
    await assert_refused(hs256, rs256())
    await assert_refused(hs256, signed({"alg": "HS256"}, CLAIMS, by_hmac(b"abc")))
    await assert_refused(hs256, signed({"alg": "none"}, CLAIMS, lambda _: b""))


@pytest.mark.threat(28)
async def test_an_issuer_answers_only_by_its_own_keys(jwks_file: Path) -> None:
    jwts = Jwts(
        [
            issuer(algorithms=["RS256"], jwks_file=jwks_file),
            issuer(issuer="https://blog.example", tenant="blog", algorithms=["HS256"], secret=SECRET),
        ],
        POLICIES,
    )

    await assert_refused(jwts, jwt.encode(CLAIMS, SECRET, "HS256"))
    await assert_refused(jwts, rs256(iss="https://blog.example"))
    await assert_refused(jwts, jwt.encode(CLAIMS, EC_KEY, "ES256", {"kid": "ec"}))
    token = jwt.encode(CLAIMS | {"iss": "https://blog.example"}, SECRET, "HS256")
    assert (await jwts.open(token, NOW)).tenant == "blog"


@pytest.mark.threat(28, 49)
async def test_clocks_may_differ_by_less_than_60_seconds_and_exp_may_be_a_year_away(jwts: Jwts) -> None:
    for claims in (
        {"exp": NOW - 59},
        {"exp": NOW + YEAR},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 60, "iat": NOW + 60},
        {"aud": ["other", "gateway"]},
    ):
        assert await jwts.open(rs256(**claims), NOW) == USER
    await assert_refused(jwts, rs256(), NOW + 300 + 60)


@pytest.mark.parametrize(
    ("scope", "actions"),
    [
        ("upload link", {Action.UPLOAD, Action.LINK}),
        (["read", "delete"], {Action.READ, Action.DELETE}),
        ("openid link profile", {Action.LINK}),
        ("openid", set()),
        ("", set()),
        ("UPLOAD", set()),
        ("upload,link", set()),
        ([], set()),
        ([["upload"], 1, "read"], {Action.READ}),
        ({"upload": True}, set()),
        (True, set()),
    ],
)
async def test_scope_names_the_actions_and_unknown_words_give_none(
    jwts: Jwts, scope: object, actions: set[Action]
) -> None:
    assert (await jwts.open(rs256(scope=scope), NOW)).actions == frozenset(actions)


async def test_the_claim_that_names_the_actions_is_a_setting() -> None:
    jwts = Jwts([issuer(algorithms=["HS256"], secret=SECRET, actions_claim="permissions")], POLICIES)
    token = jwt.encode(CLAIMS | {"scope": "delete", "permissions": ["link"]}, SECRET, "HS256")

    assert (await jwts.open(token, NOW)).actions == frozenset({Action.LINK})


async def test_the_tenant_may_come_from_a_claim_and_only_its_own_policies_with_it() -> None:
    settings = issuer(
        algorithms=["HS256"], secret=SECRET, tenant=None, tenant_claim="org", policies=["papers", "photos"]
    )
    jwts = Jwts([settings], POLICIES)

    def token(**claims: object) -> str:
        return jwt.encode(CLAIMS | claims, SECRET, "HS256")

    upload = frozenset({Action.UPLOAD})
    assert await jwts.open(token(org="blog"), NOW) == Principal(
        "blog", "user 7", Kind.JWT, upload, frozenset({"photos"})
    )
    assert (await jwts.open(token(org="shop"), NOW)).policies == frozenset({"photos", "papers"})
    for org in ("other", "", "Shop", None, 1, ["shop"]):
        await assert_refused(jwts, token(org=org))
    await assert_refused(jwts, token())


async def test_without_issuers_every_token_is_refused() -> None:
    await assert_refused(Jwts([], POLICIES), rs256())
