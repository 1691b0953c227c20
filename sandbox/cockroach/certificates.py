"""Certificates as CockroachDB's loader reads them, and the TLS contexts made from them.

The loader checks names, principals, keys and file modes. Chain, use and names of hosts are left
to the handshake, as there.

Source: pkg/security/certificate_loader.go, certificate_manager.go and permission_check.go.
"""

import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.cockroach.logs import log
from sandbox.cockroach.rpc import ServerContext

AUTHORITIES = ("ca", "ca-client", "ca-ui")
PREFIXES = (*AUTHORITIES, "node", "ui", "client")
KEPT_ON_RELOAD = {
    "ca": "CA cert",
    "node": "node cert",
    "client.node": "client cert for 'node'",
    "ca-client": "CA certificate for client verification",
    "ui": "UI certificate",
}


class CertificateError(Exception):
    """A certificate or its key cannot be used."""


@dataclass
class CertificateFile:
    """One `.crt` file of the directory; `error` says why it must not be used."""

    path: Path
    principals: tuple[str, ...] = ()
    error: str = ""

    @property
    def key(self) -> Path:
        """Where its private key lies."""
        return self.path.with_suffix(".key")


def load_directory(directory: Path) -> dict[str, CertificateFile]:
    """Read every certificate of a directory, by its name without `.crt`."""
    found: dict[str, CertificateFile] = {}
    for path in sorted(directory.glob("*.crt")):
        prefix, _, user = path.stem.partition(".")
        if prefix not in PREFIXES or (prefix == "client") != bool(user):
            log.warning("bad filename %s: unknown prefix %r", path, prefix)
            continue
        file = CertificateFile(path)
        try:
            _read_certificate(file)
            if user and user not in file.principals:
                listed = _quoted(file.principals)
                raise CertificateError(f'client certificate has principals {listed}, expected "{user}"')
            if prefix not in AUTHORITIES:
                check_key(file.key)
        except CertificateError as error:
            log.warning("problem with certificate %s: %s", path, error)
            file.error = str(error)
        found[path.stem] = file
    return found


def _read_certificate(file: CertificateFile) -> None:
    # Here and not above: the client commands do without its 5 MB and 0.1 s.
    from cryptography import x509

    try:
        first = x509.load_pem_x509_certificate(file.path.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"failed to parse certificate file {file.path.name} as PEM: {error}"
        ) from error
    names = [str(a.value) for a in first.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    try:
        alternatives = first.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += alternatives.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        pass  # client certificates need none
    file.principals = tuple(names)


def check_key(path: Path) -> None:
    """Refuse a key that others could read.

    Raises:
        CertificateError: missing, no regular file, or a mode above 0700 (0740 when root owns it
            and this process is in its group).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CertificateError(f"could not stat key file {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise CertificateError(f"key file {path} is not a regular file")
    if os.environ.get("COCKROACH_SKIP_KEY_PERMISSION_CHECK"):
        return
    limit = 0o740 if status.st_uid == 0 and status.st_gid == os.getgid() else 0o700
    if stat.S_IMODE(status.st_mode) & 0o777 & ~limit:
        modes = [stat.filemode(stat.S_IFREG | mode & 0o777) for mode in (status.st_mode, limit)]
        raise CertificateError(f"key file {path} has permissions {modes[0]}, exceeds {modes[1]}")


class NodeCertificates:
    """What a node serves and dials with; `reload` follows what is on disk.

    Attributes:
        server: For SQL and RPC on one port; a client certificate is verified when given.
        client: For dialling other nodes.
        console: For HTTPS; asks for no client certificate.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    console: ssl.SSLContext

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[str, CertificateFile] = {}
        self.reload()

    def reload(self) -> None:
        """Read the directory again.

        Raises:
            CertificateError: something needed is missing or bad; what was loaded before stays.
        """
        files = load_directory(self.directory)
        for name, meaning in KEPT_ON_RELOAD.items():
            problem = _problem(files, name)
            if problem and name in self._files and not self._files[name].error:
                raise CertificateError(f"reload would lose valid {meaning}: {problem}")
        for name, meaning in (("ca", "CA certificate"), ("node", "node certificate")):
            if problem := _problem(files, name):
                raise CertificateError(f"problem with {meaning}: {problem}")
        if "client.node" not in files and "node" not in files["node"].principals:
            listed = _quoted(files["node"].principals)
            raise CertificateError(f'client/server node certificate has principals {listed}, expected "node"')
        for name in ("client.node", "ca-client", "ui"):
            if name in files and files[name].error:
                raise CertificateError(f"problem with {name}.crt: {files[name].error}")
        dialling = files.get("client.node", files["node"])
        self.server = _server_context(files["node"], files.get("ca-client", files["ca"]))
        self.client = client_context(files["ca"].path, dialling.path, dialling.key)
        self.console = _server_context(files.get("ui", files["node"]), None)
        self._files = files


def _problem(files: dict[str, CertificateFile], name: str) -> str:
    return files[name].error if name in files else "not found"


def _quoted(names: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{name}"' for name in names) + "]"


def _server_context(certificate: CertificateFile, client_ca: CertificateFile | None) -> ssl.SSLContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    _complete(context, certificate.path, certificate.key, client_ca.path if client_ca else None)
    if client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL  # Go's VerifyClientCertIfGiven
    return context


def client_context(authority: Path, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Make a context that verifies chain, use and name of the server, and presents a certificate.

    Raises:
        CertificateError: a file is missing or does not fit its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False  # Go looks at alternative names only
    _complete(context, certificate, key, authority)
    return context


def _complete(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, authority: Path | None
) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Go takes any certificate in the CA file as an anchor, an intermediate too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if certificate:
            # The empty password keeps OpenSSL from asking the terminal for one.
            context.load_cert_chain(certificate, key, password="")
        if authority:
            context.load_verify_locations(authority)
    except (OSError, ValueError) as error:
        raise CertificateError(f"cannot use {certificate or authority}: {error}") from error


def principals(peer: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the common and DNS names of a verified peer's certificate, as `getpeercert` gives it."""
    if not peer:
        return ()
    subject = [pair for relative in peer.get("subject", ()) for pair in relative]
    names = [value for kind, value in subject if kind == "commonName"]
    return (*names, *(value for kind, value in peer.get("subjectAltName", ()) if kind == "DNS"))
