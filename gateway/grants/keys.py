"""Object keys: the only door to a name in the bucket. `objects/…` is served, `incoming/…` is quarantine.

A name is random, 32 hexadecimal digits. Two spellings say more, so that a key tells by itself how its upload is judged:
with "form" behind it the upload came by a form POST, which cannot be refused where a file lies already; 64 digits are
the SHA-256 of the bytes, and their upload has a random name of its own.
"""

import re
from dataclasses import dataclass

from gateway.errors import Code, Refusal

SEGMENT = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME_BYTES = 16  # 128 random bits, so that no key is guessed or given twice
FORM = "form"  # no hexadecimal digits, so that no other name ends so
_PLACE = rf"({SEGMENT})/({SEGMENT})/([a-z0-9]{{26,128}})\.([a-z0-9]{{1,10}})"  # nothing in it needs URL encoding
_KEY = re.compile(f"objects/{_PLACE}")
_UPLOAD_KEY = re.compile(f"incoming/{_PLACE}")
_SHA256 = re.compile(r"[0-9a-f]{64}").fullmatch


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """One upload's name, in quarantine (`upload_key`) and once promoted (`key`).

    `upload_name` is empty where both are the same, which is everywhere but under the address of a content.
    """

    tenant: str
    policy: str
    name: str
    extension: str
    upload_name: str = ""

    @property
    def key(self) -> str:
        """`objects/<tenant>/<policy>/<name>.<ext>`."""
        return f"objects/{self.tenant}/{self.policy}/{self.name}.{self.extension}"

    @property
    def upload_key(self) -> str:
        """`incoming/<tenant>/<policy>/<name>.<ext>`."""
        return f"incoming/{self.tenant}/{self.policy}/{self.upload_name or self.name}.{self.extension}"

    @property
    def by_form(self) -> bool:
        """Whether the client can write over its upload as long as its form lives."""
        return self.name.endswith(FORM)

    @property
    def content_addressed(self) -> bool:
        """Whether the name is the SHA-256 of the bytes, so that several uploads may lead to it."""
        return _SHA256(self.name) is not None

    @property
    def state_key(self) -> str:
        """Where the marker lies: over the upload, or for a form below it, where no client writes."""
        return f"{self.upload_key}/claim" if self.by_form else self.upload_key

    def of(self, tenant: str) -> "ObjectKey":
        """Return this key if it is the tenant's, else raise `not-found`."""
        if self.tenant != tenant:
            raise Refusal(Code.NOT_FOUND)
        return self

    @classmethod
    def parse_key(cls, text: str) -> "ObjectKey":
        """Read a `key`; anything else raises the `not-found` refusal."""
        return cls._matched(_KEY.fullmatch(text))

    @classmethod
    def parse_upload_key(cls, text: str) -> "ObjectKey":
        """Read an `upload_key`; anything else raises the `not-found` refusal."""
        return cls._matched(_UPLOAD_KEY.fullmatch(text))

    @classmethod
    def parse_below(cls, text: str) -> "ObjectKey":
        """Read an `upload_key`, or what lies right below that of a form; anything else raises `not-found`."""
        try:
            return cls.parse_upload_key(text)
        except Refusal:
            key = cls.parse_upload_key(text.rpartition("/")[0])
        if not key.by_form:
            raise Refusal(Code.NOT_FOUND)
        return key

    @classmethod
    def _matched(cls, match: re.Match[str] | None) -> "ObjectKey":
        if match is None:
            raise Refusal(Code.NOT_FOUND)
        return cls(*match.groups())
