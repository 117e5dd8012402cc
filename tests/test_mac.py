"""The prepared HMAC is the standard library's, and RFC 4231's."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from gateway.mac import Mac


@given(st.binary(max_size=200), st.binary(max_size=500))
def test_a_prepared_key_gives_the_hmac_of_the_standard_library(key: bytes, message: bytes) -> None:
    assert Mac(key).digest(message) == hmac.digest(key, message, "sha256")
    assert Mac(key).hexdigest(message) == hmac.digest(key, message, "sha256").hex()


def test_a_prepared_key_serves_again_and_again() -> None:
    mac = Mac(b"key")
    assert [mac.digest(b"one"), mac.digest(b"two"), mac.digest(b"one")] == [
        hmac.digest(b"key", message, "sha256") for message in (b"one", b"two", b"one")
    ]


def test_rfc_4231_case_2() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert Mac(b"Jefe").hexdigest(b"what do ya want for nothing?") == expected
