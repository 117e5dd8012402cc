"""Receivers of webhooks on loopback, over real TLS under an authority made at test time; some behave badly."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
_DAY = dt.timedelta(days=1)


class CertificateAuthority:
    """Signs certificates for names and addresses; valid from yesterday to tomorrow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self._certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())

    def trust(self) -> ssl.SSLContext:
        """Trust this authority and nobody else, as a client."""
        return ssl.create_default_context(cadata=self.pem().decode())

    def pem(self) -> bytes:
        """Return the certificate to trust, as a file of it has it."""
        return self._certificate.public_bytes(Encoding.PEM)

    def serve_as(self, name: str) -> ssl.SSLContext:
        """Prove a name, or an address, as a server."""
        key, path = generate_private_key(SECP256R1()), self._folder / f"{name}.pem"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a receiver")])
        proved = x509.SubjectAlternativeName([_general_name(name)])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = self._builder(subject, key).add_extension(proved, critical=False)
        certificate = builder.add_extension(authority, critical=False).sign(self._key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        return context

    def _builder(self, subject: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: `server_name` is what the client asked for by SNI."""

    line: str
    headers: dict[str, str]
    body: bytes
    server_name: str | None


def status(line: str, *headers: str, body: bytes = b"") -> Answer:
    """Answer at once, such as `200 OK`, and close."""
    fields = [f"HTTP/1.1 {line}", f"content-length: {len(body)}", "connection: close", *headers]
    head = "\r\n".join([*fields, "", ""]).encode()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)
        await writer.drain()

    return answer


async def reset(writer: asyncio.StreamWriter) -> None:
    """Break off without a word."""
    writer.transport.abort()


async def silence(_: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


@dataclass(slots=True)
class WithoutEnd:
    """Sends `start`, then `piece` for ever, each after `pause` seconds; `sent` counts the bytes of pieces."""

    start: bytes
    piece: bytes
    pause: float = 0
    sent: int = 0

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.start)
        while True:
            await writer.drain()
            await asyncio.sleep(self.pause)
            writer.write(self.piece)
            self.sent += len(self.piece)


@dataclass(slots=True)
class Receiver:
    """Writes down what comes, and answers as it is told until the client hangs up: `over` counts what has ended."""

    port: int = 0
    answer: Answer = field(default_factory=lambda: status("204 No Content"))
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    over: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _names: list[str | None] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.create_task(self._handle(reader, writer)))

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._exchange(reader, writer)
            writer.close()
            self.over.release()
            await asyncio.Event().wait()
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received.append(Received(line, headers, body, self._names.pop() if self._names else None))
        answer, hung_up = asyncio.ensure_future(self.answer(writer)), asyncio.ensure_future(reader.read(1))
        await asyncio.wait({answer, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        answer.cancel()
        hung_up.cancel()
        await asyncio.gather(answer, hung_up, return_exceptions=True)

    def remember(self, _: object, name: str | None, __: ssl.SSLContext) -> None:
        self._names.append(name)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def receiving(
    tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Receiver]:
    """Serve in the loop of the test, over TLS unless `tls` is None."""
    receiver = Receiver()
    if tls is not None:
        tls.sni_callback = receiver.remember
    server = await asyncio.start_server(receiver.accept, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.stop()
