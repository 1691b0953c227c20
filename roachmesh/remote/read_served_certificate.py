"""Say which certificate a pooler shows to its clients.

Request: {"address", "port"}.
Answer: {"certificate": PEM}. It is not verified here: who asks compares.
Source: "SSL Session Encryption" in PostgreSQL's documentation of its protocol.
"""

import socket
import ssl
import struct
from typing import Any

TIMEOUT_S = 5
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Begin a session as a client does, as far as the certificate."""
    where = (request["address"], request["port"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(where, timeout=TIMEOUT_S) as connection:
            connection.sendall(SSL_REQUEST)
            if connection.recv(1) != b"S":
                raise ConnectionError("it offers no TLS")
            with context.wrap_socket(connection) as secured:
                shown = secured.getpeercert(binary_form=True)
    except OSError as exc:
        raise ConnectionError(f"no pooler answers at {where[0]}:{where[1]}: {exc}") from exc
    return {"certificate": ssl.DER_cert_to_PEM_cert(shown or b"")}
