"""Object keys: the only door to a name in the bucket. `objects/…` is served, `incoming/…` is quarantine."""

import re
from dataclasses import dataclass

from gateway.errors import Code, Refusal

SEGMENT = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME_BYTES = 16  # 128 random bits, so that no key is guessed or given twice
_PLACE = rf"({SEGMENT})/({SEGMENT})/([a-z0-9]{{26,128}})\.([a-z0-9]{{1,10}})"  # nothing in it needs URL encoding
_KEY = re.compile(f"objects/{_PLACE}")
_UPLOAD_KEY = re.compile(f"incoming/{_PLACE}")


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """One upload's name, in quarantine (`upload_key`) and once promoted (`key`)."""

    tenant: str
    policy: str
    name: str
    extension: str

    @property
    def key(self) -> str:
        """`objects/<tenant>/<policy>/<name>.<ext>`."""
        return f"objects/{self.tenant}/{self.policy}/{self.name}.{self.extension}"

    @property
    def upload_key(self) -> str:
        """`incoming/<tenant>/<policy>/<name>.<ext>`."""
        return f"incoming/{self.tenant}/{self.policy}/{self.name}.{self.extension}"

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
    def _matched(cls, match: re.Match[str] | None) -> "ObjectKey":
        if match is None:
            raise Refusal(Code.NOT_FOUND)
        return cls(*match.groups())
