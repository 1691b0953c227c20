"""The images whose programs are our own: what k3s brings along, Cilium, and an application to try."""

from collections.abc import Callable

from sandbox import zipapp
from sandbox.images.image import PATH, Account, Image

FOLDER = "/stand-in"
_ENTRY_POINT = "from sandbox.{module} import main\n\nmain()\n"


def _image(
    stands_in_for: str,
    programs: dict[str, str],
    contents: tuple[str, ...],
    arguments: tuple[str, ...] = (),
    account: Account | None = None,
) -> Callable[[str], Image | None]:
    """Return what makes an image, the same for every tag.

    Args:
        stands_in_for: What it is not.
        programs: Modules with a `main`, by the names of their commands; the first is the entry point.
        contents: What of the sandbox the programs need.
        arguments: Those of the entry point.
        account: Who runs it; root without one.
    """

    def make(_: str) -> Image | None:
        packed = {
            f"{FOLDER}/{name}": zipapp.pack(_ENTRY_POINT.format(module=module), contents)
            for name, module in programs.items()
        }
        return Image(
            stands_in_for,
            entrypoint=(next(iter(packed)), *arguments),
            programs=packed,
            environment={"PATH": f"{FOLDER}:{PATH}"},
            account=account,
        )

    return make


_BASE = ("cluster/kubernetes_api.py", "cluster/threads.py")

REPOSITORIES: dict[str, Callable[[str], Image | None]] = {
    "docker.io/rancher/klipper-helm": _image(
        "Helm and klipper-helm",
        {"entry": "cluster.helm.program"},
        (*_BASE, "cluster/helm", "cilium/chart", "tls.py"),
    ),
    "docker.io/rancher/mirrored-coredns-coredns": _image(
        "CoreDNS", {"coredns": "cluster.coredns.program"}, (*_BASE, "cluster/probes.py", "cluster/coredns")
    ),
    "docker.io/rancher/local-path-provisioner": _image(
        "Rancher's local-path provisioner",
        {"local-path-provisioner": "cluster.local_path"},
        (*_BASE, "cluster/local_path.py"),
    ),
    "quay.io/cilium/cilium": _image(
        "Cilium's agent",
        {"cilium-agent": "cilium.agent.program", "cilium-dbg": "cilium.agent.status"},
        (*_BASE, "cluster/probes.py", "cilium/agent", "cilium/mesh"),
    ),
    "quay.io/cilium/clustermesh-apiserver": _image(
        "Cilium's clustermesh-apiserver and kvstoremesh",
        {"clustermesh-apiserver": "cilium.mesh.program"},
        (*_BASE, "cilium/mesh"),
    ),
    "docker.io/sosedoff/pgweb": _image(
        "pgweb",
        {"pgweb": "images.pgweb"},
        ("images/pgweb.py",),
        arguments=("--bind=0.0.0.0", "--listen=8081"),
        account=Account("pgweb", 1000),
    ),
}
