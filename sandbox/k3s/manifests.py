"""Files in `server/manifests` are applied when they come or change, as `kubectl apply` would.

Source: pkg/deploy/controller.go of k3s-io/k3s, which looks every 15 seconds too.
"""

import subprocess
import time
from pathlib import Path

from sandbox.k3s import paths
from sandbox.k3s.logs import log

_EVERY_S = 15.0
_ENDINGS = {".yaml", ".yml", ".json"}


def deploy(kubeconfig: Path, disabled: frozenset[str]) -> None:
    """Look for ever; what fails is tried again at the next look."""
    applied: dict[Path, tuple[int, int]] = {}
    while True:
        for file in sorted(paths.MANIFESTS.rglob("*")):
            if file.suffix not in _ENDINGS or file.stem in disabled:
                continue
            if file.with_name(file.name + ".skip").exists():
                continue
            status = file.stat()
            state = (status.st_mtime_ns, status.st_size)
            if applied.get(file) != state and _apply(kubeconfig, file):
                applied[file] = state
        time.sleep(_EVERY_S)


def _apply(kubeconfig: Path, file: Path) -> bool:
    log.info("Applying manifest %s", file)
    done = subprocess.run(
        [
            paths.BINARIES / "kubectl", f"--kubeconfig={kubeconfig}", "apply", "--server-side",
            "--force-conflicts", "--field-manager=deploy", "--request-timeout=30s", f"--filename={file}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        log.error("Failed to process config: failed to process %s: %s", file, done.stderr.strip())
    return done.returncode == 0
