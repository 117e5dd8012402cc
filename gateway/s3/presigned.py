"""What presigning gives: requests that whoever holds them can make until they expire."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PresignedRequest:
    """A request that can be made until `expires_at`: `headers` are those the client has to set."""

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: int


@dataclass(frozen=True, slots=True)
class PresignedForm:
    """A form that can be posted until `expires_at`: `fields` in this order, then the file as `file`."""

    url: str
    fields: Mapping[str, str]
    expires_at: int
