"""What a client of the database needs, as files: the authority, and a password or a certificate."""

from datetime import timedelta
from pathlib import Path

from psycopg.conninfo import make_conninfo

from roachmesh.certificates import client_purpose
from roachmesh.errors import InvalidTopology
from roachmesh.plan import RegionPlan
from roachmesh.security_rules import SQL_PORT
from tasks.deployment import Deployment
from tasks.kubeconfig import write
from tasks.machines import read_machine

LIFETIME = timedelta(days=90)


def write_credentials(deployment: Deployment, user: str, directory: Path) -> list[str]:
    """Write a SQL user's files, for their owner alone; gives a command of psql for each region.

    Users with a password go through the pooler, if there is one: by its public addresses where clients
    outside of the regions may use it, else by its private ones.

    Raises:
        InvalidTopology: the topology has no such user.
    """
    users = {one.name: one.login for one in deployment.plan.database.users}
    if user not in users:
        known = f"Write one of {', '.join(users)}." if users else "Add it to `database.users`, and deploy."
        raise InvalidTopology(f"there is no SQL user {user!r}.", advice=known)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    block = deployment.certificates()
    write(directory / "ca.crt", block.ca_certificate)
    login = {"user": user, "dbname": deployment.plan.database.name, "sslmode": "verify-full"}
    login["sslrootcert"] = str(directory / "ca.crt")
    if users[user] == "password":
        passfile = directory / f"{user}.pgpass"
        write(passfile, f"*:*:*:{user}:{deployment.password_of(user)}\n")
        login["passfile"] = str(passfile)
    else:
        issued = block.issue(client_purpose(user), LIFETIME)
        for option, kind, text in (("sslcert", "crt", issued.certificate), ("sslkey", "key", issued.key)):
            path = directory / f"client.{user}.{kind}"
            write(path, text)
            login[option] = str(path)
    pooled = users[user] == "password" and deployment.plan.pooler != "none"
    places = {region.name: _place(deployment, region, pooled) for region in deployment.plan.regions}
    inside = "" if pooled and deployment.plan.access.nodeport_cidrs else " (from inside the regions only)"
    return [
        f'psql "{make_conninfo("", host=host, port=port, **login)}"  # {region}{inside}'
        for region, (host, port) in places.items()
    ]


def _place(deployment: Deployment, region: RegionPlan, pooled: bool) -> tuple[str, int]:
    """Say where a region's pooler is, or its nodes."""
    if not pooled:
        return ",".join(member.host for member in region.members), SQL_PORT
    port = deployment.plan.pooler_port(region)
    if not deployment.plan.access.nodeport_cidrs:
        return ",".join(str(node.address) for node in region.nodes), port
    machines = [read_machine(deployment, node) for node in region.nodes]
    return ",".join(str(machine.host.address) for machine in machines), port
