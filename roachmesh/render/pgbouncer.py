"""PgBouncer: pooling by transactions, TLS on both sides, each user with his own password.

A client certificate towards the database would mean one SQL user for all, and hashes cannot be asked of
CockroachDB: passwords are in a file, in plain text, for SCRAM on both sides.
Source: "pgbouncer.ini", PgBouncer's documentation.
"""

from roachmesh.pooler import AUTHORITY, CERTIFICATE, PAIR, Backend, Pooler
from roachmesh.security_rules import POOLER_PORT, SQL_PORT

DIRECTORY = "/etc/pgbouncer"
SETTINGS, USERS, HOSTS = "pgbouncer.ini", "userlist.txt", "hosts"
MAX_CLIENTS = 5000
OPEN_FILES = 16384  # a client, a server and a little more


# PgBouncer compares a certificate with all of a list of hosts at once, until 1.25 (its issue 1300). One name
# for all nodes serves better: DNS would have to tell it, and on machines this unit's own /etc/hosts does.
DROP_IN = f"""\
[Service]
LimitNOFILE={OPEN_FILES}
Restart=on-failure
BindReadOnlyPaths={DIRECTORY}/{HOSTS}:/etc/hosts
"""


def _files(backend: Backend) -> dict[str, str]:
    files = {SETTINGS: _settings(backend), USERS: _users(backend)}
    hosts = "".join(f"{address} {backend.host}\n" for address in backend.addresses)
    return {**files, HOSTS: hosts} if hosts else files


def _settings(backend: Backend) -> str:
    """Render the settings.

    Clients need no certificate; without `client_tls_ca_file` PgBouncer insists on the system's authorities.
    The limit of `max_db_connections` is for all users together. A node that is gone is left within seconds:
    no connection to it is waited for, and one that is silent is closed.
    """
    return f"""\
[databases]
{backend.database} = host={backend.host} port={SQL_PORT}

[pgbouncer]
listen_addr = *
listen_port = {POOLER_PORT}
unix_socket_dir =

pool_mode = transaction
max_prepared_statements = 200
max_client_conn = {MAX_CLIENTS}
default_pool_size = {backend.connections}
max_db_connections = {backend.connections}
server_round_robin = 1
server_lifetime = 1800

auth_type = scram-sha-256
auth_file = {DIRECTORY}/{USERS}
ignore_startup_parameters = extra_float_digits, binary_parameters

client_tls_sslmode = require
client_tls_cert_file = {DIRECTORY}/{CERTIFICATE}.crt
client_tls_key_file = {DIRECTORY}/{CERTIFICATE}.key
client_tls_ca_file = {DIRECTORY}/{AUTHORITY}
server_tls_sslmode = verify-full
server_tls_ca_file = {DIRECTORY}/{AUTHORITY}

server_connect_timeout = 5
server_login_retry = 1
tcp_keepalive = 1
tcp_keepidle = 10
tcp_keepintvl = 5
tcp_keepcnt = 3
tcp_user_timeout = 15000

log_connections = 0
log_disconnections = 0
"""


def _users(backend: Backend) -> str:
    return "".join(f"{_quoted(user)} {_quoted(password)}\n" for user, password in backend.passwords.items())


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


PGBOUNCER = Pooler(
    name="pgbouncer",
    title="PgBouncer",
    package="pgbouncer",
    service="pgbouncer.service",
    version_command=("pgbouncer", "--version"),
    minimum=(1, 22),  # prepared statements in transaction pooling, and DEALLOCATE ALL, which drivers send
    directory=DIRECTORY,
    file_names=(SETTINGS, USERS, HOSTS),
    files=_files,
    secrets=frozenset({USERS}),
    reloads=frozenset({SETTINGS, USERS, *PAIR}),
    drop_in=DROP_IN,
    image="docker.io/edoburu/pgbouncer:v1.24.1-p1",
    pod_command=("/usr/bin/pgbouncer", f"{DIRECTORY}/{SETTINGS}"),
    pod_memory="512Mi",
)
