"""One request on its way through a route: who calls, from which origin, at what time, on which gateway."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.types import Scope

from gateway.errors import Code, Refusal
from gateway.grants.policies import Grant, Policy, Tenant, Wish, allow
from gateway.grants.principals import Action, Principal
from gateway.grants.tickets import Ticket
from gateway.grants.tokens import Tokens
from gateway.http.auth import Authenticator
from gateway.http.guard import HEADERS, ORIGIN
from gateway.http.heads import FIELDS
from gateway.http.origin import Origin
from gateway.http.problems import REQUEST_ID
from gateway.http.rate_limits import rate_limits
from gateway.quotas import Quotas, Spent
from gateway.s3.bucket import Bucket, check_grant_token
from gateway.s3.credentials import CredentialSource
from gateway.s3.part_uploads import PartUploads
from gateway.s3.presigned import PresignedRequest
from gateway.s3.sigv4 import Credentials
from gateway.s3.storage import Storage
from gateway.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that the routes stand on, wired once by `create_app`. `clock` gives seconds since the epoch.

    `put_expires_in` and `get_expires_in` (seconds) are for presigned parts, and for what links lead to.
    """

    tenants: Mapping[str, Tenant]
    tokens: Tokens
    authenticator: Authenticator
    bucket: Bucket
    credentials: CredentialSource
    storage: Storage
    close_foundation: Callable[[], None]
    uploads: Uploads
    quotas: Quotas
    clock: Callable[[], int]
    random_name: Callable[[], str]
    put_expires_in: int
    get_expires_in: int

    async def close(self) -> None:
        """Let threads and connections go."""
        self.close_foundation()
        self.credentials.close()
        await self.authenticator.aclose()
        await self.quotas.close()


class Call:
    """A request, as far as a route may know it; `status_code` overrules the route's own."""

    def __init__(self, scope: Scope, gateway: Gateway) -> None:
        """Read the clock, once for all that the call does."""
        self.scope = scope
        self.gateway = gateway
        self.now = gateway.clock()
        self.status_code: int | None = None
        self._opened: tuple[str, Ticket] | None = None

    @property
    def origin(self) -> Origin:
        """The origin that the caller's browser used; the guard has found it."""
        origin: Origin = self.scope[ORIGIN]
        return origin

    @property
    def base_url(self) -> str:
        """What every absolute URL begins with: the origin, and the path under which the gateway is mounted."""
        root: str = self.scope.get("root_path", "")
        return self.origin.url + root

    @property
    def request_id(self) -> str:
        """The identifier under which this request is logged."""
        return str(self.scope[REQUEST_ID])

    async def bearer(self) -> Principal | None:
        """Return who the Authorization header proves, or None without one; raises `unauthenticated`."""
        authorization = self.scope[FIELDS].get(b"authorization")
        if authorization is None:
            return None
        return await self.gateway.authenticator.authenticate(authorization, self.now)

    def bucket(self) -> Bucket:
        """Return the bucket; raises `insecure-storage` rather than hand an http URL to a page on https."""
        bucket = self.gateway.bucket
        if self.origin.scheme == "https" and bucket.endpoint.scheme == "http":
            raise Refusal(Code.INSECURE_STORAGE)
        return bucket

    async def credentials(self) -> Credentials:
        """Return the store's credentials, refreshed where needed."""
        return await self.gateway.credentials.fresh(self.now)

    async def put_object(self, grant: Grant, *, expires_in: int) -> tuple[str, PresignedRequest]:
        """Return the ticket of a single PUT, and the PUT; raises `metadata-too-large`."""
        bucket = self.bucket()
        ticket, grant_token = self.gateway.tokens.seal_grant(grant)
        put = bucket.put_object(grant, grant_token, await self.credentials(), now=self.now, expires_in=expires_in)
        return ticket, put

    async def ticket(self, token: str) -> Ticket:
        """Open the ticket in the path; credentials sent along have to speak for it, else it is `not-found`."""
        if self._opened is not None and self._opened[0] == token:
            return self._opened[1]
        ticket = self.gateway.tokens.open_ticket(token, self.now)
        principal = await self.bearer()
        if principal is not None and not principal.speaks_for(ticket.grant.key.tenant, ticket.grant.principal):
            raise Refusal(Code.NOT_FOUND)
        self._opened = token, ticket
        return ticket

    async def part_uploads(self, ticket: Ticket) -> PartUploads:
        """Return what presigns the ticket's parts, none of them for longer than the ticket lives."""
        expires_in = min(self.gateway.put_expires_in, ticket.grant.expires_at - self.now)
        return self.bucket().parts(ticket, await self.credentials(), now=self.now, expires_in=expires_in)


class AuthenticatedCall(Call):
    """A call by a principal."""

    principal: Principal
    _spent: Spent = ()

    async def authenticate(self) -> None:
        """Find out who calls; raises `unauthenticated`."""
        self.principal = await self.gateway.authenticator.authenticate(
            self.scope[FIELDS].get(b"authorization"), self.now
        )

    def allowed(self, action: Action) -> Principal:
        """Return the principal if it may do this, else raise `forbidden`."""
        self.principal.require(action)
        return self.principal

    async def grant(self, policy: Policy, wish: Wish, *, name: str, multipart: bool = False) -> Grant:
        """Judge the wish, and count what is granted; raises what fits, and `too-many-requests` last."""
        grant = self.judge(policy, wish, name=name, multipart=multipart)
        await self.spend(policy, [grant])
        return grant

    def judge(self, policy: Policy, wish: Wish, *, name: str, multipart: bool = False, upload_name: str = "") -> Grant:
        """Judge the wish, and count nothing yet: whoever calls this has to `spend` the grants before it answers."""
        grant = allow(
            self.principal, policy, wish, name=name, now=self.now, multipart=multipart, upload_name=upload_name
        )
        if policy.quota is not None:
            check_grant_token(self.gateway.tokens.seal_grant_token(grant))
        return grant

    async def spend(self, policy: Policy, grants: Sequence[Grant]) -> None:
        """Count grants under one policy, all or none, and tell what is left; raises `too-many-requests`.

        A grant of at most so many bytes counts as many. Nothing is counted that could not go on.
        """
        if policy.quota is None or not grants:
            return
        self.bucket()
        await self.credentials()
        size = sum(grant.size for grant in grants)
        tally = await self.gateway.quotas.spend(self.principal.tenant, policy, len(grants), size)
        refusal = tally.refusal
        self.scope[HEADERS] += rate_limits(policy.name, tally.counts, None if refusal is None else refusal.retry_after)
        if refusal is not None:
            raise refusal
        self._spent = tally.spent

    async def begun(self, upload: Awaitable[Ticket]) -> Ticket:
        """Return the ticket of a multipart upload; where it cannot begin, what was counted for it is given back."""
        try:
            return await upload
        except Refusal:
            if self._spent:
                await self.gateway.quotas.give_back(self._spent)
            raise

    @property
    def tenant(self) -> Tenant:
        """The principal's tenant."""
        return self.gateway.tenants[self.principal.tenant]
