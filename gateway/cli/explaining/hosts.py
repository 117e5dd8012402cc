"""What a URL's scheme and host are good for: who can reach it, and whether it suits the region it was signed for."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult

from gateway.cli.explaining.explanation import Known

_AWS = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:-fips)?(?:\.dualstack)?(?:[.-](?P<region>[a-z]{2,3}(?:-[a-z]+){1,2}-[0-9]))?"
    r"\.amazonaws\.com(?:\.cn)?"
)
_INTERNAL = (".local", ".internal", ".lan", ".home.arpa", ".svc", ".test", ".localhost")
_SIGNED_FOR = "the host is signed, so that no proxy may rewrite it"


def host_problems(url: SplitResult, region: str | None, known: Known | None) -> list[str]:
    """Tell what is wrong with where a presigned request goes; `region` is the one it was signed for."""
    problems = []
    if url.scheme == "http":
        problems.append("http: anyone on the way can read it and use it, and a page on https may not call it")
    problems += _reach(url.hostname or "")
    problems += _region(url.hostname or "", region)
    if known is not None and url.netloc.lower() != known.endpoint.host:
        problems.append(
            f"the host is not that of the settings' public storage endpoint, {known.endpoint.host}; {_SIGNED_FOR}"
        )
    return problems


def _reach(host: str) -> list[str]:
    try:
        address = ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return [f"{host} is this machine: nobody else can use it"]
        if "." not in host or host.endswith(_INTERNAL):
            return [f"{host} is a name of an internal network: browsers elsewhere cannot resolve it"]
        return []
    if address.is_loopback or address.is_unspecified:
        return [f"{host} is this machine: nobody else can use it"]
    if address.is_private or address.is_link_local:
        return [f"{host} is an address of an internal network: browsers elsewhere cannot reach it"]
    return []


def _region(host: str, region: str | None) -> list[str]:
    match = _AWS.fullmatch(host)
    if match is None or region is None:
        return []
    if match["region"] is None:
        if region == "us-east-1":
            return []
        return [f"the host is S3's global one, which redirects for {region}, and signatures do not survive that"]
    if match["region"] != region:
        return [f"signed for {region}, but the host is of {match['region']}: S3 refuses it"]
    return []
