"""A cluster of real stand-in processes on loopback addresses, as an unprivileged user."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.cockroach import archive

VERSION = "v26.2.2"
PORT, HTTP_PORT = 36257, 38080
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
# initdb refuses to run as root.
USER = "nobody" if os.geteuid() == 0 else None
INSTALLED = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))

needs_postgres = pytest.mark.skipif(
    not (INSTALLED and shutil.which("psql")), reason="no PostgreSQL server and psql on this computer"
)


class Authority:
    """A CA that issues what a test asks for, right or wrong."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def write(self, directory: Path, name: str = "ca") -> None:
        """Write the CA's certificate."""
        (directory / f"{name}.crt").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        directory: Path,
        name: str,
        common_name: str,
        *usages: x509.ObjectIdentifier,
        address: str = "",
        host: str = "localhost",
    ) -> None:
        """Write `<name>.crt` and `<name>.key`; a server's is for an address and a host name."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions: list[x509.ExtensionType] = [x509.ExtendedKeyUsage(usages)]
        if address:
            names = [x509.IPAddress(IPv4Address(address)), x509.DNSName(host)]
            extensions.append(x509.SubjectAlternativeName(names))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._sign(subject, key, *extensions)
        (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = directory / f"{name}.key"
        path.write_bytes(pem)
        path.chmod(0o600)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@dataclass
class Node:
    """One stand-in node: its address, its files, its process."""

    cluster: "Cluster"
    address: str
    directory: Path
    locality: str = "region=here,zone=here-1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def certs(self) -> Path:
        return self.directory / "certs"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def issue(self, authority: Authority | None = None) -> None:
        """Issue split node certificates, and give the directory to the node's user."""
        authority = authority or self.cluster.authority
        self.certs.mkdir(parents=True, exist_ok=True)
        authority.write(self.certs)
        authority.issue(self.certs, "node", "anything", SERVER, address=self.address)
        authority.issue(self.certs, "client.node", "node", CLIENT)
        self.cluster.give_away(self.directory)

    def command(self, *extra: str) -> list[str]:
        join = ",".join(f"{node.address}:{PORT}" for node in self.cluster.nodes[:2])
        return [
            str(self.cluster.program), "start",
            f"--certs-dir={self.certs}", f"--store={self.directory}/store",
            f"--listen-addr={self.address}:{PORT}", f"--advertise-addr={self.address}:{PORT}",
            f"--http-addr=:{HTTP_PORT}", "--join", join, "--locality", self.locality,
            "--cache=.25", "--max-sql-memory=.25", *extra,
        ]  # fmt: skip

    def start(self, *extra: str) -> None:
        with (self.directory / "log").open("ab") as output:
            self.process = subprocess.Popen(
                self.command(*extra), stdout=output, stderr=output, user=USER, cwd=self.cluster.directory
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(20)

    def health(self, query: str = "?ready=1") -> tuple[int, str]:
        """Ask the console's port; 0 when nothing answers."""
        context = ssl.create_default_context(cafile=str(self.certs / "ca.crt"))
        try:
            url = f"https://{self.address}:{HTTP_PORT}/health{query}"
            with urllib.request.urlopen(url, context=context, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self, timeout_s: float = 15) -> None:
        wait_until(lambda: self.health()[0] == 200, f"{self.address} ready", timeout_s)

    def wait_listening(self) -> None:
        wait_until(lambda: self.health("")[0] == 200, f"{self.address} listening", 10)

    def psql(
        self, statement: str, user: str = "root", database: str = "defaultdb", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run psql with verify-full; the user's certificate is used where there is one."""
        certs = self.cluster.user_certs
        certificate = certs / f"client.{user}.crt"
        connection = {
            "host": self.address, "port": PORT, "user": user, "dbname": database, "sslmode": "verify-full",
            "sslrootcert": certs / "ca.crt", "connect_timeout": 10,
            "sslcert": certificate if certificate.exists() else "/nonexistent",
            "sslkey": certs / f"client.{user}.key",
        }  # fmt: skip
        text = " ".join(f"{key}={value}" for key, value in connection.items())
        return run(
            "psql",
            text,
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
            environment=environment,
            user=USER,
        )

    def query(self, statement: str, user: str = "root", **more: str) -> str:
        done = self.psql(statement, user, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def cockroach(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a client command against this node, as root."""
        certs, host = self.cluster.user_certs, f"{self.address}:{PORT}"
        return run(str(self.cluster.program), *words, f"--certs-dir={certs}", "--host", host, user=USER)

    def init(self) -> None:
        done = self.cockroach("init")
        assert done.returncode == 0, done.stderr

    def status(self) -> dict[str, dict[str, str]]:
        """The rows of `node status`, by address without port."""
        done = self.cockroach("node", "status", "--format=json")
        assert done.returncode == 0, done.stderr
        return {row["address"].partition(":")[0]: row for row in json.loads(done.stdout)}


@dataclass
class Cluster:
    """Nodes that share a CA, in a directory of their own."""

    directory: Path
    network: str
    authority: Authority = field(default_factory=Authority)
    nodes: list[Node] = field(default_factory=list)

    @property
    def program(self) -> Path:
        return self.directory / f"cockroach-{VERSION}.linux-amd64" / "cockroach"

    @property
    def user_certs(self) -> Path:
        return self.directory / "users"

    def add(self, number: int) -> Node:
        node = Node(self, f"{self.network}.{number}", self.directory / f"n{number}")
        self.nodes.append(node)
        node.issue()
        return node

    def start(self) -> None:
        """Start every node, initialise through the first, and wait until all take part."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_listening()
        self.nodes[0].init()
        for node in self.nodes:
            node.wait_ready()

    def give_away(self, directory: Path) -> None:
        if USER:
            for path in (directory, *directory.rglob("*")):
                shutil.chown(path, USER)


@contextmanager
def cluster(network: str, size: int) -> Iterator[Cluster]:
    """Unpack the stand-in and prepare nodes; nothing runs yet, and nothing is left behind."""
    # Not pytest's directory: another user could not enter that.
    with tempfile.TemporaryDirectory(prefix="standin-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with tarfile.open(archive.build(VERSION, directory)) as packed:
            packed.extractall(directory, filter="data")
        made = Cluster(directory, network)
        made.user_certs.mkdir()
        made.authority.write(made.user_certs)
        made.authority.issue(made.user_certs, "client.root", "root", CLIENT)
        for number in range(1, size + 1):
            made.add(number)
        made.give_away(directory)
        try:
            yield made
        finally:
            for node in made.nodes:
                if node.process and node.process.poll() is None:
                    node.stop()


def run(
    *words: str, environment: dict[str, str] | None = None, user: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in an environment of almost nothing."""
    settings = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(environment or {})}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=30, env=settings, user=user, check=False, cwd="/"
    )


def wait_until(check: Callable[[], object], what: str, timeout_s: float) -> None:
    """Wait until a check holds, or fail with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        threading.Event().wait(0.05)
