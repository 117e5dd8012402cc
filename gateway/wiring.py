"""From the settings to what the API, the worker and the reaper stand on."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

import boto3

from gateway import logs
from gateway.crashes import crashing
from gateway.grants.keys import ObjectKey
from gateway.grants.tokens import Tokens
from gateway.libmagic import Libmagic
from gateway.proof import Proof, Scanner
from gateway.s3.clients import Patience, Place
from gateway.s3.credentials import open_session
from gateway.s3.s3_storage import S3Storage
from gateway.s3.sigv4 import Credentials
from gateway.s3.storage import Storage
from gateway.settings import Settings
from gateway.states import States
from gateway.uploads import ANSWER_WITHIN, Uploads
from gateway.worker.announcements import Announcer
from gateway.worker.clamd import Clamd
from gateway.worker.consumer import Consumer, Tempo
from gateway.worker.handling import Handling
from gateway.worker.health import Check
from gateway.worker.names import Names
from gateway.worker.queue import Queue
from gateway.worker.reaper import Reaper
from gateway.worker.reports import ReportedDelivery, ReportedScanner
from gateway.worker.sqs import SqsQueue
from gateway.worker.turns import Turns
from gateway.worker.webhooks import Webhooks, configured

WORK_WITHIN = 43_200.0  # seconds that a worker waits for one upload: SQS keeps a message in hand no longer


@dataclass(frozen=True, slots=True)
class Foundation:
    """The bucket, and the use cases over it."""

    session: boto3.Session
    storage: Storage
    tokens: Tokens
    uploads: Uploads
    libmagic: Libmagic | None

    def close(self) -> None:
        """Let threads and connections go."""
        self.storage.close()
        if self.libmagic is not None:
            self.libmagic.close()


def lay_foundation(
    settings: Settings,
    credentials: Credentials | None,
    *,
    scanner: Scanner | None = None,
    answer_within: float = ANSWER_WITHIN,
) -> Foundation:
    """Connect to nothing yet. boto3 finds the store's credentials (environment, profile, role) unless they are given.

    Without a `scanner` what has to be scanned is left to the worker; `answer_within` is in seconds. Raises
    SettingsError where libmagic is to be asked and is not there.
    """
    session = open_session(settings.region, credentials)
    storage = crashing(_storage(settings, session), "storage", settings.crash_at)
    tokens = settings.tokens()
    libmagic = Libmagic() if settings.magic else None
    proof = Proof(
        storage,
        scans=scans(settings),
        scan_limit=settings.scan_limit,
        scanner=scanner,
        second_opinion=libmagic,
    )
    uploads = Uploads(
        storage,
        tokens,
        secrets.token_urlsafe,
        proof=proof,
        answer_within=answer_within,
        copy_threshold=settings.copy_threshold,
    )
    return Foundation(session, storage, tokens, uploads, libmagic)


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
    """Return what tells which uploads are scanned; those of a policy that is gone are wherever there is a scanner."""
    demands = {
        (tenant, policy): table.scan
        for tenant, tables in settings.tenants.items()
        for policy, table in tables.policies.items()
    }
    otherwise = settings.clamd_socket is not None
    return lambda key: demands.get((key.tenant, key.policy), otherwise)


@dataclass(frozen=True, slots=True)
class Worker:
    """The loop, and what it needs to be reached."""

    consumer: Consumer
    checks: Mapping[str, Check]
    queue: Queue
    names: Names
    foundation: Foundation

    def close(self) -> None:
        """Let threads and connections go."""
        self.queue.close()
        self.names.close()
        self.foundation.close()


def create_worker(  # noqa: PLR0913 - what only a command knows
    settings: Settings,
    events_queue: str,
    credentials: Credentials | None = None,
    *,
    clock: Callable[[], float],
    stopwatch: Callable[[], float],
    report: Callable[[Mapping[str, object]], None],
    tempo: Tempo | None = None,
) -> Worker:
    """Return a worker on the queue of that URL; nothing is connected to yet.

    `clock` gives seconds since the epoch, `stopwatch` seconds from anywhere on; `report` gets one mapping for each
    event, scan and webhook.
    """
    crash_at = settings.crash_at
    clamd = None if settings.clamd_socket is None else Clamd(settings.clamd_socket, settings.scan_timeout)
    scanner = None if clamd is None else crashing(ReportedScanner(clamd, stopwatch, report), "scanner", crash_at)
    foundation = lay_foundation(settings, credentials, scanner=scanner, answer_within=WORK_WITHIN)
    storage = foundation.storage
    # A session of its own: two threads may not make clients of one at the same time (boto3, "Multithreading").
    session = open_session(settings.region, credentials)
    queue = crashing(SqsQueue(session, events_queue, settings.region), "queue", crash_at)
    networks = [ip_network(text) for text in settings.webhook_networks]
    names = Names()
    webhooks = Webhooks(configured(settings), clock, resolve=names, networks=networks)
    delivery = ReportedDelivery(webhooks, stopwatch, report)
    turns = Turns(delivery, stopwatch, (tempo or Tempo()).hands)
    announcer = crashing(Announcer(storage, foundation.tokens, turns), "announcer", crash_at)
    handling = Handling(States(storage, secrets.token_urlsafe), foundation.uploads, announcer)
    consumer = Consumer(
        queue,
        handling.handle,
        clock=stopwatch,
        random=secrets.SystemRandom().random,
        report=report,
        tempo=tempo,
        about=logs.about,
    )
    checks = {"queue": queue.check, "storage": storage.check, **({} if clamd is None else {"scanner": clamd.check})}
    return Worker(consumer, checks, queue, names, foundation)


def create_reaper(settings: Settings, credentials: Credentials | None = None, *, dry_run: bool = False) -> Reaper:
    """Return a reaper; nothing is connected to yet. What has to be scanned is scanned where clamd is set."""
    scanner = None if settings.clamd_socket is None else Clamd(settings.clamd_socket, settings.scan_timeout)
    foundation = lay_foundation(settings, credentials, scanner=scanner, answer_within=WORK_WITHIN)
    policies = [policy for tenant in settings.tenants.values() for policy in tenant.policies.values()]
    lifetimes = [max(policy.ticket_expires_in, policy.multipart_expires_in) for policy in policies]
    longest_ticket = max(lifetimes, default=0)
    return Reaper(
        foundation.storage,
        foundation.uploads,
        longest_ticket=longest_ticket,
        dry_run=dry_run,
        close=foundation.close,
        about=logs.about,
    )
