"""Fetch a chart as Helm would: through a repository's `index.yaml`, or from an address."""

import base64
import io
import ssl
import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import yaml

from sandbox.cluster.kubernetes_api import Object

RENDERER = "sandbox/renderer"  # the annotation of a chart that is made for this stand-in
TIMEOUT_S = 30.0


class ChartError(Exception):
    """There is no such chart, or it cannot be had."""


@dataclass(frozen=True)
class Chart:
    """A chart: its Chart.yaml, and its default values."""

    metadata: Object
    defaults: Object

    @property
    def renderer(self) -> str:
        """Name the module that makes objects of values.

        Raises:
            ChartError: the chart has templates of Go, and is no stand-in.
        """
        renderer: str | None = self.metadata.get("annotations", {}).get(RENDERER)
        if renderer is None:
            name = f"{self.metadata.get('name')} {self.metadata.get('version')}"
            raise ChartError(
                f"chart {name} has Go templates, which the sandbox's stand-in for Helm does not render; "
                "it has a stand-in for the chart cilium only"
            )
        return renderer


def fetch(chart: str, repository: str, version: str, content: Path | None, ca_files: list[Path]) -> Chart:
    """Fetch a chart.

    Args:
        chart: Its name, or its address.
        repository: Address of the folder that holds `index.yaml`; empty for a chart given by address.
        version: Which one; empty for the youngest.
        content: A file that holds the archive in base64; then nothing is fetched.
        ca_files: Authorities to trust beside the system's own.

    Raises:
        ChartError: it cannot be had.
    """
    if content:
        return _unpack(base64.b64decode(content.read_text()))
    context = ssl.create_default_context()
    for path in ca_files:
        context.load_verify_locations(cafile=str(path))
    if not repository:
        if not chart.startswith(("https://", "http://")):
            raise ChartError(
                f'repo for chart "{chart}" is not given, and charts of registries are not emulated'
            )
        return _unpack(_get(chart, context))
    index = yaml.safe_load(_get(repository.rstrip("/") + "/index.yaml", context))
    return _unpack(_get(_address(index, chart, version, repository), context))


def _address(index: Object, chart: str, version: str, repository: str) -> str:
    name = chart.rpartition("/")[2]
    entries = [
        entry
        for entry in index.get("entries", {}).get(name, ())
        if version.removeprefix("v") in ("", entry["version"].removeprefix("v"))
    ]
    if not entries:
        missing = f" (no chart version found for {name}-{version})" if version else ""
        raise ChartError(f'chart "{name}" not found in {repository}/index.yaml{missing}')
    found: str = entries[0]["urls"][0]
    return urljoin(repository.rstrip("/") + "/", found)


def _get(url: str, context: ssl.SSLContext) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as response:  # noqa: S310
            answer: bytes = response.read()
            return answer
    except urllib.error.HTTPError as error:
        raise ChartError(f"failed to fetch {url} : {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ChartError(f'looks like "{url}" cannot be reached: {reason}') from error


def _unpack(archive: bytes) -> Chart:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            files = {
                Path(member.name).name: packed.extractfile(member) for member in packed if member.isfile()
            }
            metadata, defaults = files.get("Chart.yaml"), files.get("values.yaml")
            if not metadata:
                raise ChartError("Chart.yaml file is missing")
            return Chart(yaml.safe_load(metadata), (yaml.safe_load(defaults) if defaults else None) or {})
    except tarfile.TarError as error:
        raise ChartError(f"the chart's archive cannot be read: {error}") from error
