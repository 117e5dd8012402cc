"""Where presigned requests go."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Scheme, host (with port unless it is the default), and the path before a key: `/` or `/bucket/`."""

    scheme: Literal["http", "https"]
    host: str
    path: str

    @property
    def origin(self) -> str:
        """`https://host`, as a Content-Security-Policy or a CORS rule names it."""
        return f"{self.scheme}://{self.host}"

    @property
    def bucket(self) -> str:
        """The bucket's name, which is the path's one segment or else the host's first label."""
        return self.path.strip("/") or self.host.partition(".")[0]
