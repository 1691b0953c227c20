"""SQL users: they exist, log in as planned, and may make what they like in the application's database."""

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from blocks.logger import logger
from roachmesh import names
from roachmesh.outcome import Outcome
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.machines import Machine
from tasks.sql import CONNECT_TIMEOUT_S, connect

# CockroachDB's words and PostgreSQL's; libpq has no code for a login that was refused.
REFUSED = "password authentication failed"


@once("SQL users")
def ensure_sql_users(deployment: Deployment, machine: Machine) -> Outcome:
    """Have the SQL users of the topology, and the one as whom `verify` uses poolers.

    Users that the topology does not have are left.

    Raises:
        DatabaseFailed: CockroachDB refuses, and with what words.
    """
    wanted = {user.name: user.login for user in deployment.plan.database.users}
    if deployment.plan.pooler != "none":
        wanted[names.VERIFY_USER] = "password"
    with connect(deployment, machine) as root:
        root.autocommit = True
        changed = [user for user, login in wanted.items() if _ensure_user(deployment, root, user, login)]
    if changed:
        logger().info("changed %s", ", ".join(changed))
    return Outcome(what="SQL users", change="updated" if changed else "unchanged")


def _ensure_user(deployment: Deployment, root: psycopg.Connection, user: str, login: str) -> bool:
    """Say what is missing for a user, and tell whether anything was."""
    name, database = sql.Identifier(user), sql.Identifier(deployment.plan.database.name)
    missing: list[sql.Composed] = []
    exists = root.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
    if not exists:
        missing.append(sql.SQL("CREATE USER {}").format(name))
    password = deployment.password_of(user)
    knows = bool(exists) and _logs_in(root, user, password)
    if login == "password" and not knows:
        verifier = root.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
        missing.append(sql.SQL("ALTER USER {} WITH PASSWORD {}").format(name, verifier.decode()))
    if login == "certificate" and knows:
        missing.append(sql.SQL("ALTER USER {} WITH PASSWORD NULL").format(name))
    if user != names.VERIFY_USER and not (exists and _may_create(root, user, deployment.plan.database.name)):
        missing.append(sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(database, name))
    for statement in missing:
        root.execute(statement)
    if login == "password" and not knows:
        # CockroachDB hashes a password that came hashed anew when it is first used, and for that asks for it
        # in clear text: better once here than in poolers. Source: pkg/sql/pgwire/auth_methods.go.
        _logs_in(root, user, password)
    return bool(missing)


def _logs_in(root: psycopg.Connection, user: str, password: str) -> bool:
    """Try a password, since CockroachDB shows nobody its hash."""
    conninfo = make_conninfo(root.info.dsn, user=user, sslcertmode="disable")
    try:
        psycopg.connect(conninfo, password=password, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError as exc:
        if REFUSED not in str(exc):
            raise
        return False
    return True


def _may_create(root: psycopg.Connection, user: str, database: str) -> bool:
    row = root.execute("SELECT has_database_privilege(%s, %s, 'CREATE')", (user, database)).fetchone()
    return bool(row and row[0])
