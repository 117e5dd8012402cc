"""The query of a presigned URL, as its parameters stand, and what copying did to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote


@dataclass(frozen=True, slots=True)
class Query:
    """Decoded parameters in their order; `problems` tells how they were mangled on the way."""

    pairs: Sequence[tuple[str, str]]
    problems: Sequence[str]

    @classmethod
    def parse(cls, text: str) -> "Query":
        """Read a query; what mail programs, HTML and eager encoders do to one is undone, and told."""
        pairs, problems = parse_qsl(text, keep_blank_values=True), []
        if any(name.startswith("amp;") for name, _ in pairs):
            pairs = [(name.removeprefix("amp;"), value) for name, value in pairs]
            problems.append("'&' was written as '&amp;': the URL was copied out of HTML source, and does not work so")
        if any(name == "X-Amz-Credential" and "/" not in value and "%2F" in value.upper() for name, value in pairs):
            pairs = [(unquote(name), unquote(value)) for name, value in pairs]
            problems.append("the query is percent-encoded twice, so that the signature does not match")
        names = [name for name, _ in pairs]
        problems += [f"{name} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
        return cls(pairs, problems)

    def has_any(self, *names: str) -> bool:
        """Whether one of these parameters is there."""
        return any(name in names for name, _ in self.pairs)

    def get(self, name: str) -> str | None:
        """Return a parameter's first value."""
        return next((value for key, value in self.pairs if key == name), None)

    def missing(self, names: Sequence[str]) -> list[str]:
        """Tell which of these parameters are missing or empty."""
        return [f"{name} is missing" for name in names if not self.get(name)]

    def overrides(self) -> list[tuple[str, str]]:
        """Return the response headers that a GET will have."""
        prefix = "response-"
        return [(name.removeprefix(prefix), value) for name, value in self.pairs if name.startswith(prefix)]
