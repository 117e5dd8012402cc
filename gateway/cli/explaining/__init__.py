"""What a URL says of itself: a presigned S3 request, or one of our own tokens. Pure: no I/O, no clock."""

from urllib.parse import urlsplit

from gateway.cli.explaining.explanation import Explanation, Known, printable
from gateway.cli.explaining.query import Query
from gateway.cli.explaining.sigv2 import explain_sigv2
from gateway.cli.explaining.sigv4 import explain_sigv4
from gateway.cli.explaining.tokens import explain_token, find_token

__all__ = ["Explanation", "Known", "explain"]


def explain(text: str, now: int, known: Known | None = None) -> Explanation:
    """Explain a presigned URL, a link, a ticket's URL, a demo page's address, or a bare token, as of `now`.

    `known` is what the settings tell, where there are any. What is answered is safe to print, whatever was asked.
    Raises ValueError for anything else, with the reason.
    """
    explained = _explained(text.strip().strip("'\""), now, known)
    return Explanation(
        explained.kind,
        {name: printable(value) for name, value in explained.facts.items()},
        [printable(problem) for problem in explained.problems],
    )


def _explained(text: str, now: int, known: Known | None) -> Explanation:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        if (found := find_token("", text, "")) is None:
            raise ValueError("this is neither a URL nor one of the gateway's tokens")
        return explain_token(found, None, now, known)
    query = Query.parse(url.query)
    if query.has_any("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Algorithm"):
        return explain_sigv4(url, query, now, known)
    if query.has_any("Signature", "AWSAccessKeyId"):
        return explain_sigv2(url, query, now, known)
    if (found := find_token(url.path, "", url.fragment)) is None:
        raise ValueError("this URL is not presigned, and none of the gateway's tokens is in it")
    return explain_token(found, url, now, known)
