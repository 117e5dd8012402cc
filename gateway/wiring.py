"""From the settings to what the API, the worker and the reaper stand on."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import boto3

from gateway.crashes import crashing
from gateway.grants.keys import ObjectKey
from gateway.grants.tokens import Tokens
from gateway.proof import Proof, Scanner
from gateway.s3.clients import Patience, Place
from gateway.s3.credentials import open_session
from gateway.s3.s3_storage import S3Storage
from gateway.s3.sigv4 import Credentials
from gateway.s3.storage import Storage
from gateway.settings import Settings
from gateway.uploads import ANSWER_WITHIN, Uploads


@dataclass(frozen=True, slots=True)
class Foundation:
    """The bucket, and the use cases over it."""

    session: boto3.Session
    storage: Storage
    tokens: Tokens
    uploads: Uploads


def lay_foundation(
    settings: Settings,
    credentials: Credentials | None,
    *,
    scanner: Scanner | None = None,
    answer_within: float = ANSWER_WITHIN,
) -> Foundation:
    """Connect to nothing yet. boto3 finds the store's credentials (environment, profile, role) unless they are given.

    Without a `scanner` what has to be scanned is left to the worker; `answer_within` is in seconds.
    """
    session = open_session(settings.region, credentials)
    storage = crashing(_storage(settings, session), "storage", settings.crash_at)
    tokens = settings.tokens()
    proof = Proof(storage, scans=scans(settings), scan_limit=settings.scan_limit, scanner=scanner)
    uploads = Uploads(
        storage,
        tokens,
        secrets.token_urlsafe,
        proof=proof,
        answer_within=answer_within,
        copy_threshold=settings.copy_threshold,
    )
    return Foundation(session, storage, tokens, uploads)


def _storage(settings: Settings, session: boto3.Session) -> S3Storage:
    place = Place(
        settings.bucket,
        settings.region,
        settings.storage_endpoint,
        settings.storage_style(),
        settings.expected_bucket_owner,
    )
    return S3Storage(session, place, Patience(threads=settings.storage_threads, deadline=settings.storage_timeout))


def scans(settings: Settings) -> Callable[[ObjectKey], bool]:
    """Return what tells which uploads are scanned; those of a policy that is gone are wherever any is."""
    demands = {
        (tenant, policy): table.scan
        for tenant, tables in settings.tenants.items()
        for policy, table in tables.policies.items()
    }
    otherwise = any(demands.values())
    return lambda key: demands.get((key.tenant, key.policy), otherwise)
