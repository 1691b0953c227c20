"""What the container of a HelmChart's Job runs: install, upgrade or uninstall one release.

Source: the entry script of k3s-io/klipper-helm, from memory for its newer states.
"""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sandbox.cluster.helm import values
from sandbox.cluster.helm.release import DEPLOYED, FAILED, PENDING, Release, Releases
from sandbox.cluster.helm.repository import Chart, ChartError, fetch
from sandbox.cluster.kubernetes_api import (
    CLUSTER_SCOPED,
    ApiError,
    KubernetesApi,
    Object,
    Unreachable,
    path_of,
)

STAND_IN = (
    "this is a stand-in for Helm and klipper-helm, made by Roachmesh's sandbox; it renders no Go templates"
)
CONFIG, CONTENT, CA_FILES = Path("/config"), Path("/chart"), Path("/ca-files")

log = logging.getLogger("helm")

Renderer = Callable[[Object, str], list[Object]]


def main() -> None:
    """Do what the arguments say; the exit code is that of Helm."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    log.info(STAND_IN)
    try:
        _run(_arguments(), KubernetesApi.in_cluster())
    except (ApiError, Unreachable, ChartError, values.Refused, values.ValuesError) as error:
        sys.exit(f"Error: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("helm")
    parser.add_argument("action", choices=("install", "delete"))
    parser.add_argument("--namespace")
    parser.add_argument("--create-namespace", action="store_true")
    parser.add_argument("--take-ownership", action="store_true")
    parser.add_argument("--version", default="")
    parser.add_argument("--set", action="append", default=[], dest="typed")
    parser.add_argument("--set-string", action="append", default=[], dest="strings")
    return parser.parse_args()


def _run(arguments: argparse.Namespace, api: KubernetesApi) -> None:
    name, namespace = os.environ["NAME"], os.environ["TARGET_NAMESPACE"]
    releases = Releases(api, name, namespace)
    latest = releases.latest()
    if arguments.action == "delete":
        uninstall(api, releases, latest)
        return
    if latest and latest.status in PENDING:
        log.info("Previous helm job was interrupted, updating status from %s to failed", latest.status)
        latest = replace(latest, status=FAILED)
        releases.save(latest)
    if latest and latest.status == FAILED:
        if os.environ["FAILURE_POLICY"] != "reinstall":
            policy = os.environ["FAILURE_POLICY"]
            sys.exit(
                f"Release {name} is failed, and its failure policy is {policy}: somebody must look at it"
            )
        uninstall(api, releases, latest)
        latest = None
    chart = _fetch()
    if arguments.create_namespace:
        metadata = {"name": namespace}
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, "helm")
    install(api, releases, latest, chart, _values(arguments))


def install(
    api: KubernetesApi, releases: Releases, latest: Release | None, chart: Chart, given: Object
) -> None:
    """Apply what a chart makes of values as the next revision, and remove what only the last one had.

    Raises:
        Refused: the chart refuses the values; there is no new revision then.
        ApiError: an object is refused; the revision is failed then.
    """
    namespace = releases.namespace
    render: Renderer = importlib.import_module(chart.renderer).render
    objects = [
        obj
        if obj["kind"] in CLUSTER_SCOPED
        else obj | {"metadata": {"namespace": namespace} | obj["metadata"]}
        for obj in render(values.merged(chart.defaults, given), namespace)
    ]
    revision = latest.revision + 1 if latest else 1
    status = "pending-upgrade" if latest else "pending-install"
    release = Release(releases.name, namespace, revision, status, chart.metadata, given, objects)
    releases.save(release)
    try:
        for obj in objects:
            api.apply(obj, "helm")
        kept = {path_of(obj) for obj in objects}
        for obj in latest.objects if latest else ():
            if path_of(obj) not in kept:
                api.delete(path_of(obj))
    except ApiError as error:
        releases.save(replace(release, status=FAILED, description=str(error)))
        raise
    done = "Upgrade complete" if latest else "Install complete"
    releases.save(replace(release, status=DEPLOYED, description=done))
    releases.supersede(release)
    log.info("NAME: %s\nNAMESPACE: %s\nSTATUS: deployed\nREVISION: %d", release.name, namespace, revision)


def uninstall(api: KubernetesApi, releases: Releases, latest: Release | None) -> None:
    """Remove everything of the last revision, and all revisions."""
    for obj in latest.objects if latest else ():
        api.delete(path_of(obj))
    releases.forget()
    log.info('release "%s" uninstalled', releases.name)


def _fetch() -> Chart:
    packed = sorted(CONTENT.glob("*.tgz.base64"))
    ca_files = [*CONFIG.glob("ca-file.pem"), *(path for path in CA_FILES.glob("*") if path.is_file())]
    return fetch(
        os.environ["CHART"],
        os.environ["REPO"],
        os.environ["VERSION"],
        packed[0] if packed else None,
        ca_files,
    )


def _values(arguments: argparse.Namespace) -> Object:
    given: Object = {}
    for path in sorted(CONFIG.glob("values-*.yaml")):
        given = values.merged(given, values.parsed(path.read_text(), path.name))
    pairs = [(pair, True) for pair in arguments.typed] + [(pair, False) for pair in arguments.strings]
    return values.merged(given, values.from_flags(pairs))
