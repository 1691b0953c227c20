"""The application: CockroachDB's MovR workload as a service or in a pod, or an image of the user's."""

from hashlib import sha256
from typing import Any

from roachmesh import names
from roachmesh.plan import Plan, RegionPlan
from roachmesh.render import kubernetes, systemd
from roachmesh.render.kubernetes import Object
from roachmesh.security_rules import APPLICATION_NODE_PORT, POOLER_PORT, SQL_PORT

SERVICE = f"{names.APPLICATION}.service"
DIRECTORY = "/etc/roachmesh"
SCRIPT, ENVIRONMENT_FILE = f"{DIRECTORY}/application", f"{DIRECTORY}/application.env"
CA = f"{DIRECTORY}/ca.crt"  # the database's own folder is closed to others
CA_DIR = "/roachmesh"
LABELS = {"app.kubernetes.io/name": names.APPLICATION}
# Of MovR, where the topology says nothing.
RATE, CONCURRENCY = 10, 1
DISPLAY_EVERY = "10s"


def service() -> str:
    """Render the unit that runs MovR on a machine.

    The password comes by the environment, since everybody may read a unit and a process list.
    """
    return f"""\
[Unit]
Description=MovR, the application
Wants=network-online.target
After=network-online.target {systemd.SERVICE}

[Service]
DynamicUser=yes
EnvironmentFile={ENVIRONMENT_FILE}
ExecStart={SCRIPT}
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""


def script(plan: Plan) -> str:
    """Render what that unit runs: all workers, by way of the machine's own pooler.

    When one of them ends, systemd starts them all again.
    """
    command = " \\\n    ".join(_worker(plan, systemd.BINARY, "localhost", CA))
    return f"""\
#!/bin/bash
for worker in {{1..{_workers(plan)}}}; do
  {command} &
done
wait -n
"""


def environment(password: str) -> str:
    """Render the environment of that unit."""
    return f"PGPASSWORD={password}\n"


def objects(plan: Plan, region: RegionPlan, password: str, ca: str) -> list[Object]:
    """Describe everything of a region on k3s, in the order in which it is to be applied.

    Args:
        plan: The whole plan.
        region: One of its regions on k3s.
        password: The application's.
        ca: PEM of the authority that pooler and nodes are verified with.
    """
    secret = _secret(plan, region, password, ca)
    described = [secret, _deployment(plan, region, secret)]
    return [*described, _service(plan, region)] if plan.application.kind == "image" else described


def _workers(plan: Plan) -> int:
    """Say how many processes share MovR's rate: each has one worker, whatever its flag `concurrency` says.

    Source: pkg/workload/movr of cockroachdb/cockroach.
    """
    return plan.application.concurrency or CONCURRENCY


def _worker(plan: Plan, binary: str, host: str, ca: str) -> list[str]:
    """Give the words of a worker's command.

    Its driver prepares in one trip what it uses in the next, between which PgBouncer may change the
    connection; with binary parameters it takes one trip. Source: the README of lib/pq.
    """
    pooled = "" if plan.pooler == "none" else "&binary_parameters=yes"
    return [
        f"{binary} workload run movr",
        f"--db={plan.database.name}",
        f"--max-rate={(plan.application.rate or RATE) / _workers(plan):g}",
        "--tolerate-errors",
        f"--display-every={DISPLAY_EVERY}",
        f"'{_url(plan, host, ca)}{pooled}'",
    ]


def _url(plan: Plan, host: str, ca: str, password: str = "") -> str:
    """Say where the database is: behind the pooler, if there is one."""
    port = SQL_PORT if plan.pooler == "none" else POOLER_PORT
    user = f"{plan.database.application_user}{password and ':'}{password}"
    return f"postgresql://{user}@{host}:{port}/{plan.database.name}?sslmode=verify-full&sslrootcert={ca}"


def _host(plan: Plan, region: RegionPlan) -> str:
    if plan.pooler == "none":
        return names.public_host(region.name)
    return names.pooler_host(region.name, plan.pooler)


def _metadata(region: RegionPlan) -> Object:
    return {"name": names.APPLICATION, "namespace": names.namespace(region.name), "labels": LABELS}


def _secret(plan: Plan, region: RegionPlan, password: str, ca: str) -> Object:
    texts = {
        "url": _url(plan, _host(plan, region), f"{CA_DIR}/ca.crt", password),
        "password": password,
        "ca.crt": ca,
    }
    return kubernetes.secret(_metadata(region), texts)


def _deployment(plan: Plan, region: RegionPlan, secret: Object) -> Object:
    # Another password or authority means other pods. Of random bytes, so a hash tells nothing.
    annotations = {"roachmesh/secret": sha256(repr(secret["data"]).encode()).hexdigest()}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(region),
        "spec": {
            "replicas": _workers(plan) if plan.application.kind == "movr" else plan.application.replicas or 1,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS, "annotations": annotations},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "containers": [_container(plan, region)],
                    "volumes": [
                        {
                            "name": "ca",
                            "secret": {
                                "secretName": names.APPLICATION,
                                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                            },
                        }
                    ],
                },
            },
        },
    }


def _container(plan: Plan, region: RegionPlan) -> Object:
    described = _image(plan) if plan.application.kind == "image" else _movr_image(plan, region)
    return {
        "name": names.APPLICATION,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False},
        "volumeMounts": [{"name": "ca", "mountPath": CA_DIR, "readOnly": True}],
        **described,
    }


def _image(plan: Plan) -> Object:
    application = plan.application
    return {
        "image": f"{application.image}:{application.tag}",
        "env": [
            _from_secret(application.url_variable, "url"),
            *({"name": one.name, "value": one.value} for one in application.environment),
        ],
        "ports": [{"name": "clients", "containerPort": application.port, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": "clients"}, "periodSeconds": 5},
    }


def _movr_image(plan: Plan, region: RegionPlan) -> Object:
    command = " ".join(_worker(plan, kubernetes.BINARY, _host(plan, region), f"{CA_DIR}/ca.crt"))
    return {
        "image": kubernetes.image(plan),
        "command": ["/bin/sh", "-c", f"exec {command}"],
        "env": [_from_secret("PGPASSWORD", "password")],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }


def _from_secret(variable: str, key: str) -> Object:
    reference: dict[str, Any] = {"name": names.APPLICATION, "key": key}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _service(plan: Plan, region: RegionPlan) -> Object:
    port = {
        "name": "clients",
        "port": plan.application.port,
        "targetPort": "clients",
        "nodePort": APPLICATION_NODE_PORT,
        "protocol": "TCP",
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(region),
        "spec": {"type": "NodePort", "selector": LABELS, "ports": [port]},
    }
