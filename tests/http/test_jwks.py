import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.http.jwks import COOLDOWN, FRESH, MAX_JWKS, RETRY, FetchedKeys, KeptKeys, read_jwks
from tests.servers import jwks as jwks_server
from tests.servers.jwks import JwksServer

NOW = 1_760_000_000
RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA_JWK: dict[str, Any] = RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "r"}
EC_JWK: dict[str, Any] = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
ED_JWK: dict[str, Any] = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)


@pytest.fixture
async def server() -> AsyncIterator[JwksServer]:
    async with jwks_server.running() as jwks:
        yield jwks


@pytest.fixture
async def keys(server: JwksServer) -> AsyncIterator[FetchedKeys]:
    fetched = FetchedKeys(server.url)
    yield fetched
    await fetched.aclose()


async def algorithm(keys: FetchedKeys, kid: str | None, now: int) -> str | None:
    key = await keys.find(kid, now)
    return None if key is None else key.algorithm


def dump(*jwks: object) -> str:
    return json.dumps({"keys": jwks})


def test_each_kind_of_key_has_the_one_algorithm_it_is_for() -> None:
    keys = read_jwks(dump(RSA_JWK, EC_JWK | {"kid": "e"}, ED_JWK | {"kid": "o", "alg": "Ed25519"}, ED_JWK))

    assert {kid: key.algorithm for kid, key in keys.items()} == {
        "r": "RS256",
        "e": "ES256",
        "o": "EdDSA",
        None: "EdDSA",
    }


@pytest.mark.threat(28)
@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "x"},
        RSA_JWK | {"alg": "RS512"},
        RSA_JWK | {"alg": "HS256"},
        RSA_JWK | {"alg": ["RS256"]},
        RSA_JWK | {"use": "enc"},
        RSA_JWK | {"key_ops": ["encrypt"]},
        RSA_JWK | {"key_ops": 1},
        RSA_JWK | {"kid": 1},
        RSA_JWK | {"crv": "P-256"},
        RSA_JWK | {"n": "!"},
        {"kty": "RSA", "kid": "no numbers"},
        RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True),
        RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True),  # noqa: S505 - why it is refused
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True),
        EC_JWK | {"x": EC_JWK["y"]},
        ED_JWK | {"crv": "Ed448"},
        ED_JWK | {"x": "AA"},
        {"kty": ["RSA"]},
        "text",
        None,
    ],
)
def test_keys_that_are_not_public_signature_keys_of_ours_are_passed_over(jwk: object) -> None:
    assert list(read_jwks(dump(jwk, ED_JWK | {"kid": "good"}))) == ["good"]

    with pytest.raises(ValueError, match="no usable keys"):
        read_jwks(dump(jwk))


@pytest.mark.parametrize(
    "document", ["", "{}", "[]", '"keys"', '{"keys": {}}', '{"keys": 1}', "[" * 10_000, b"\xff\xfe\x00"]
)
def test_what_is_no_jwks_has_no_usable_keys(document: str | bytes) -> None:
    with pytest.raises(ValueError, match="no usable keys"):
        read_jwks(document)


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    assert read_jwks(dump(EC_JWK | {"kid": "k"}, ED_JWK | {"kid": "k"}))["k"].algorithm == "ES256"


@pytest.mark.threat(28)
async def test_an_id_is_looked_up_exactly_and_its_lack_only_where_there_is_one_key() -> None:
    one = KeptKeys(read_jwks(dump(RSA_JWK)))
    two = KeptKeys(read_jwks(dump(RSA_JWK, EC_JWK | {"kid": "e"})))

    assert [await one.find(kid, NOW) is not None for kid in ("r", None, "R", "", "../../dev/null")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert await two.find(None, NOW) is None


async def test_a_set_is_fetched_once_for_all_who_wait_and_kept(server: JwksServer, keys: FetchedKeys) -> None:
    server.serve(RSA_JWK)

    assert await asyncio.gather(*(algorithm(keys, "r", NOW) for _ in range(50))) == ["RS256"] * 50
    assert await algorithm(keys, "r", NOW + FRESH - 1) == "RS256"
    assert len(server.requests) == 1
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.threat(28)
async def test_a_rotated_key_is_found_and_made_up_ids_cause_one_fetch_in_30_seconds(
    server: JwksServer, keys: FetchedKeys
) -> None:
    server.serve(RSA_JWK)
    assert await algorithm(keys, "r", NOW) == "RS256"
    server.serve(EC_JWK | {"kid": "new"})

    for attempt in range(COOLDOWN):
        assert await algorithm(keys, f"made up {attempt}", NOW + attempt) is None
    assert len(server.requests) == 1

    assert await algorithm(keys, "new", NOW + COOLDOWN) == "ES256"
    assert await algorithm(keys, "r", NOW + COOLDOWN) is None, "the issuer has withdrawn it"
    assert len(server.requests) == 2


async def test_an_old_set_serves_on_while_it_is_refreshed_in_the_background(
    server: JwksServer, keys: FetchedKeys
) -> None:
    server.serve(RSA_JWK)
    await keys.find("r", NOW)
    server.serve(EC_JWK | {"kid": "new"})
    server.free.clear()

    assert await algorithm(keys, "r", NOW + FRESH) == "RS256"
    assert await algorithm(keys, "r", NOW + FRESH) == "RS256"
    server.free.set()
    assert await algorithm(keys, "new", NOW + FRESH) == "ES256", "joins the fetch under way"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("500 Oops", "", b"{}"),
        ("302 Found", "Location: /elsewhere\r\n", dump(ED_JWK | {"kid": "evil"}).encode()),
        ("200 OK", "", dump(ED_JWK | {"kid": "evil"}).encode() + b" " * MAX_JWKS),
        ("200 OK", "Content-Encoding: gzip\r\n", b"\x1f\x8b"),
        ("200 OK", "", b'{"keys": []}'),
        ("200 OK", "", b"<html>"),
        ("garbage", "", b""),
    ],
)
async def test_a_failed_fetch_leaves_the_kept_set_in_use(  # noqa: PLR0913, PLR0917 - three fixtures and an answer's parts
    server: JwksServer, keys: FetchedKeys, caplog: pytest.LogCaptureFixture, status: str, headers: str, body: bytes
) -> None:
    server.serve(RSA_JWK)
    await keys.find("r", NOW)
    server.respond(body, status=status, headers=headers)

    with caplog.at_level(logging.WARNING):
        assert await algorithm(keys, "evil", NOW + FRESH) is None
    assert await algorithm(keys, "r", NOW + FRESH) == "RS256"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert len(server.requests) == 2


async def test_without_a_set_a_failed_fetch_is_tried_again_after_5_seconds(
    server: JwksServer, keys: FetchedKeys
) -> None:
    server.respond(b"", status="503 Later")
    assert await algorithm(keys, "r", NOW) is None
    server.serve(RSA_JWK)

    assert await algorithm(keys, "r", NOW + RETRY - 1) is None
    assert await algorithm(keys, "r", NOW + RETRY) == "RS256"


async def test_a_clock_that_was_set_back_holds_up_no_fetch(server: JwksServer, keys: FetchedKeys) -> None:
    server.serve(RSA_JWK)
    assert await algorithm(keys, "r", NOW) == "RS256"
    server.serve(EC_JWK | {"kid": "new"})

    assert await algorithm(keys, "new", NOW - 86_400) == "ES256"
    assert await algorithm(keys, "made up", NOW - 86_400 + COOLDOWN - 1) is None
    assert len(server.requests) == 2


async def test_an_old_set_is_refreshed_by_a_clock_that_was_set_back(server: JwksServer, keys: FetchedKeys) -> None:
    server.serve(RSA_JWK)
    assert await algorithm(keys, "r", NOW) == "RS256"
    server.serve(EC_JWK | {"kid": "new"})

    assert await algorithm(keys, "r", NOW - 1_000) == "RS256"
    assert await algorithm(keys, "new", NOW - 1_000) == "ES256", "joins the fetch under way"


async def test_nobody_listening_is_a_failed_fetch(server: JwksServer) -> None:
    async with jwks_server.running() as gone:
        url = gone.url
    keys = FetchedKeys(url)

    assert server.port
    assert await algorithm(keys, "r", NOW) is None
    await keys.aclose()


async def test_an_issuer_that_drips_is_given_up_after_5_seconds_and_blocks_nobody(
    server: JwksServer, keys: FetchedKeys
) -> None:
    server.serve(RSA_JWK)
    server.pause = 0.2
    loop = asyncio.get_running_loop()
    started = loop.time()
    waiting = asyncio.create_task(algorithm(keys, "r", NOW))
    longest = 0.0
    while not waiting.done():
        before = loop.time()
        await asyncio.sleep(0.01)
        longest = max(longest, loop.time() - before)

    assert await waiting is None
    assert 4.9 < loop.time() - started < 7
    assert longest < 1


async def test_a_caller_that_leaves_does_not_end_the_fetch_of_the_others(server: JwksServer, keys: FetchedKeys) -> None:
    server.serve(RSA_JWK)
    server.free.clear()
    first, second = (asyncio.create_task(algorithm(keys, "r", NOW)) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    server.free.set()

    assert await second == "RS256"
    assert first.cancelled()


async def test_closing_ends_a_fetch_under_way(server: JwksServer) -> None:
    server.free.clear()
    keys = FetchedKeys(server.url)
    waiting = asyncio.create_task(algorithm(keys, "r", NOW))
    await asyncio.sleep(0.05)
    await keys.aclose()

    assert await waiting is None
    server.free.set()
