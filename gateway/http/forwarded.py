"""The Forwarded header (RFC 7239), read by its grammar and nothing else."""

import re
from collections.abc import Mapping, Sequence

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*"'  # section 5.6.4, without obs-text
# The grammar has no white space around ";", but nginx's own example and many proxies write it. Possessive: else two
# runs of white space divide one between them in every way, which takes seconds for a header of 30 KB.
_STEP = re.compile(rf"[ \t]*+(?:(?P<name>{_WORD})=(?P<value>{_WORD}|{_QUOTED}))?[ \t]*+(?P<separator>[;,]|\Z)")
_ESCAPE = re.compile(r"\\(.)")


def parse_forwarded(text: str) -> Sequence[Mapping[str, str]]:
    """Read one header value into its elements, parameter names in lower case; ValueError when it is malformed."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while True:
        step = _STEP.match(text, position)
        if step is None:
            raise ValueError("malformed Forwarded header")
        if step["name"] is not None:
            _add(elements[-1], step["name"].lower(), step["value"])
        if not step["separator"]:
            return elements
        if step["separator"] == ",":
            elements.append({})
        position = step.end()


def _add(element: dict[str, str], name: str, value: str) -> None:
    if name in element:  # RFC 7239 section 4: each parameter at most once per element
        raise ValueError("repeated parameter in a Forwarded element")
    element[name] = _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value
