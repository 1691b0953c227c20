"""HelmChart objects become Jobs; the chart cilium takes good values and refuses the others."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.cilium.chart import archive, render
from sandbox.cilium.chart.values import known
from sandbox.cluster.helm import values
from sandbox.cluster.helm.job import HASH_ANNOTATION, NotEmulated, job_objects
from sandbox.cluster.helm.repository import ChartError, fetch
from tests.sandbox.cilium_values import GOOD, changed

CHART: dict[str, Any] = {
    "apiVersion": "helm.cattle.io/v1",
    "kind": "HelmChart",
    "metadata": {"name": "cilium", "namespace": "kube-system", "uid": "u"},
    "spec": {
        "chart": "cilium", "repo": "https://helm.cilium.io", "version": "1.20.5", "bootstrap": True,
        "targetNamespace": "kube-system", "failurePolicy": "abort", "repoCA": "PEM",
        "valuesContent": "cluster: {id: 1}", "valuesSecrets": [{"name": "ca", "keys": ["tls"]}],
    },
}  # fmt: skip


def chart_with(**spec: Any) -> dict[str, Any]:
    return CHART | {"spec": CHART["spec"] | spec}


def job_of(chart: dict[str, Any], secrets: dict[str, Any] | None = None) -> dict[str, Any]:
    return job_objects(chart, None, secrets or {})[-1]


def test_a_bootstrap_chart_runs_in_the_hosts_network_before_there_is_another() -> None:
    job = job_of(CHART)
    pod = job["spec"]["template"]["spec"]
    assert job["metadata"]["name"] == "helm-install-cilium"
    assert pod["hostNetwork"]
    assert {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"} in pod["tolerations"]
    environment = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert environment["KUBERNETES_SERVICE_PORT"] == "6444"
    assert environment["FAILURE_POLICY"] == "abort"
    assert environment["CHART"] == "cilium/cilium"


def test_values_of_secrets_come_after_those_of_the_chart_itself() -> None:
    sources = job_of(CHART)["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    own = job_objects(CHART, None, {})[0]
    paths = [*own["data"], *(item["path"] for item in sources[1]["secret"]["items"])]
    assert sorted(path for path in paths if path.startswith("values")) == [
        "values-0-000-HelmChart-ValuesContent.yaml",
        "values-0-001-HelmChart-ca-tls.yaml",
    ]
    assert base64.b64decode(own["data"]["ca-file.pem"]) == b"PEM"


def test_a_secret_that_changes_makes_another_job() -> None:
    def digest(content: str) -> str:
        job = job_of(CHART, {"ca": {"data": {"tls": content}}})
        return str(job["spec"]["template"]["metadata"]["annotations"][HASH_ANNOTATION])

    assert digest("old") == digest("old") != digest("new")


def test_a_config_adds_values_and_overrides_the_failure_policy() -> None:
    config = {"spec": {"valuesContent": "MTU: 1400", "failurePolicy": "reinstall"}}
    secret, *_, job = job_objects(CHART, config, {})
    assert "values-1-000-HelmChartConfig-ValuesContent.yaml" in secret["data"]
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "FAILURE_POLICY", "value": "reinstall"} in environment


def test_a_chart_that_is_deleted_gets_a_job_that_uninstalls() -> None:
    deleted = CHART | {"metadata": CHART["metadata"] | {"deletionTimestamp": "now"}}
    job = job_of(deleted)
    assert job["metadata"]["name"] == "helm-delete-cilium"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["delete"]


def test_a_field_that_nothing_follows_is_refused() -> None:
    with pytest.raises(NotEmulated, match=r"spec\.plainHTTP"):
        job_of(chart_with(plainHTTP=True))


def test_values_are_merged_as_helm_does() -> None:
    base = {"a": {"b": 1, "c": 2}, "list": [1], "gone": 1}
    over = {"a": {"b": 3}, "list": [2], "gone": None}
    assert values.merged(base, over) == {"a": {"b": 3, "c": 2}, "list": [2]}
    assert values.from_flags([("a.b=1", True), ("a.c=1", False)]) == {"a": {"b": 1, "c": "1"}}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    archive.build(tmp_path)

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_chart_is_fetched_through_the_index_of_its_repository(repository: str) -> None:
    chart = fetch("cilium/cilium", repository, "1.20.5", None, [])
    assert chart.metadata["version"] == "1.20.5"
    assert chart.renderer == "sandbox.cilium.chart.render"
    assert fetch(f"{repository}/{archive.NAME}", "", "", None, []).defaults == chart.defaults


@pytest.mark.parametrize(
    ("chart", "version", "said"),
    [
        ("cilium/cilium", "1.19.0", "no chart version found for cilium-1.19.0"),
        ("cilium/traefik", "", 'chart "traefik" not found in '),
        ("oci://quay.io/cilium/charts/cilium", "", "oci"),
    ],
)
def test_a_chart_that_is_not_there_is_said(repository: str, chart: str, version: str, said: str) -> None:
    with pytest.raises(ChartError, match=said):
        fetch(chart, "" if "://" in chart else repository, version, None, [])


def test_a_repository_that_is_not_there_is_said(repository: str) -> None:
    with pytest.raises(ChartError, match="404"):
        fetch("cilium/cilium", f"{repository}/elsewhere", "", None, [])


def rendered(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    defaults = yaml.safe_load((Path(render.__file__).parent / "values.yaml").read_text())
    objects = render.render(values.merged(defaults, given), "kube-system")
    return {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in objects}


def test_the_objects_have_the_names_of_the_real_chart() -> None:
    objects = rendered(GOOD)
    assert {
        "DaemonSet/cilium", "ConfigMap/cilium-config", "ConfigMap/ip-masq-agent", "Secret/cilium-ca",
        "Secret/cilium-clustermesh", "Secret/cilium-kvstoremesh", "Deployment/clustermesh-apiserver",
        "Service/clustermesh-apiserver", "Secret/clustermesh-apiserver-server-cert",
    } <= set(objects)  # fmt: skip
    assert objects["Service/clustermesh-apiserver"]["spec"]["ports"][0]["nodePort"] == 32379
    config = objects["ConfigMap/cilium-config"]["data"]
    assert config["cluster-name"] == "eastus"
    assert config["kube-proxy-replacement"] == "true"
    agents = objects["Secret/cilium-clustermesh"]["data"]
    assert set(agents) == {"westus"}
    servers = yaml.safe_load(base64.b64decode(objects["Secret/cilium-kvstoremesh"]["data"]["westus"]))
    assert servers["endpoints"] == ["https://westus.mesh.cilium.io:32379"]
    assert servers["cilium-host-aliases"] == {"westus.mesh.cilium.io": {"ips": ["10.2.1.4", "10.2.1.5"]}}


def test_clusters_may_be_a_map_and_may_name_this_one() -> None:
    cluster = {"port": 32379, "ips": ["10.1.1.4"]}
    clusters = {"eastus": cluster, "westus": cluster, "off": cluster | {"enabled": False}}
    objects = rendered(changed("clustermesh.config.clusters", clusters))
    assert set(objects["Secret/cilium-kvstoremesh"]["data"]) == {"westus"}


def test_without_a_mesh_there_is_none() -> None:
    objects = rendered({key: value for key, value in GOOD.items() if key not in ("clustermesh", "tls")})
    assert not [name for name in objects if "mesh" in name and not name.endswith("/clustermesh-apiserver")]
    assert "Deployment/clustermesh-apiserver" not in objects


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("clusterMesh", {"useAPIServer": True}, "clusterMesh is no key of this chart"),
        ("ipam.mod", "kubernetes", "ipam.mod is no key of this chart"),
        ("clustermesh.config.cluster", [], "clustermesh.config.cluster is no key of this chart"),
        ("routingMode", "tunnel", "routingMode: tunnel is not emulated by the sandbox, only native"),
        ("ipam.mode", "cluster-pool", "ipam.mode: cluster-pool is not emulated"),
        ("cni.exclusive", False, "cni.exclusive: False is not emulated by the sandbox, only True"),
        ("encryption.enabled", True, "encryption.enabled: True is not emulated"),
        ("hubble.relay.enabled", True, "hubble.relay"),
        ("clustermesh.apiserver.service.type", "LoadBalancer", "service.type: LoadBalancer is not emulated"),
        ("clustermesh.apiserver.tls.auto.method", "cronJob", "method: cronJob is not emulated"),
        ("cluster.id", 0, "ClusterMesh requires cluster.id to be between 1 and 255"),
        ("cluster.id", 256, "The cluster ID is invalid"),
        ("cluster.name", "East_US", "The cluster name is invalid"),
        ("cluster.name", "a" * 33, "at most 32"),
        ("cluster.name", "default", "cannot use default value"),
        ("kubeProxyReplacement", "strict", "kubeProxyReplacement must be explicitly set to a valid value"),
        ("tls.ca.key", "", "the certificate and the key are needed both"),
        ("tls.ca.cert", "bm90aGluZw==", "tls.ca: "),
        ("clustermesh.config.clusters", "westus", "unknown type str"),
        ("clustermesh.config.clusters", [{"name": "westus"}], "name, port and ips are needed"),
    ],
)
def test_values_that_cannot_be_followed_are_refused(path: str, value: object, said: str) -> None:
    with pytest.raises(values.Refused) as refused:
        rendered(changed(path, value))
    assert said in str(refused.value)


def test_every_reason_is_said_at_once() -> None:
    with pytest.raises(values.Refused) as refused:
        rendered(changed("cluster.id", 300) | {"surprise": 1})
    assert len(str(refused.value).splitlines()) == 2


def test_what_is_off_in_the_real_chart_may_be_said_to_be_off() -> None:
    assert rendered(changed("encryption.enabled", False)).keys() == rendered(GOOD).keys()


def test_the_defaults_are_keys_of_the_chart() -> None:
    assert "clustermesh.apiserver.tls.auto.method" in known()
    defaults = yaml.safe_load((Path(render.__file__).parent / "values.yaml").read_text())
    assert json.dumps(defaults)
