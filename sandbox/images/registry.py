"""A registry that images are pulled from: the reading half of the OCI distribution specification.

As a mirror of other registries it is asked with `?ns=<host>`, as containerd does.

Source: the OCI distribution specification 1.1, "Pull" and "Error Codes".
"""

import re
import threading
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.images.image import Blob, Image

_NAME = r"(?P<name>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
_MANIFEST = re.compile(rf"{_NAME}/manifests/(?P<reference>[\w][\w.:-]*)")
_BLOB = re.compile(rf"{_NAME}/blobs/(?P<reference>sha256:[0-9a-f]{{64}})")

Find = Callable[[str, str], Image | None]


class Registry:
    """Serves what `find` finds for a repository (`docker.io/library/alpine`) and a tag."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._blobs: dict[str, Blob] = {}
        self._tagged: dict[tuple[str, str], Blob] = {}
        self._packing = threading.Lock()  # many machines ask for one image at once

    def answer(self, request: Request) -> Response:
        """Answer a GET or HEAD of `/v2/{path:path}`."""
        path = request.path_params["path"]
        if not path:
            return JSONResponse({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})
        if match := _MANIFEST.fullmatch(path):
            host = request.query_params.get("ns", "")
            blob = self._manifest(f"{host}/{match['name']}".lstrip("/"), match["reference"])
            return _answer(blob, "MANIFEST_UNKNOWN", "manifest unknown")
        if match := _BLOB.fullmatch(path):
            return _answer(self._blobs.get(match["reference"]), "BLOB_UNKNOWN", "blob unknown to registry")
        return _answer(None, "UNSUPPORTED", "the sandbox's registry serves manifests and blobs only")

    def _manifest(self, repository: str, reference: str) -> Blob | None:
        """Find a manifest by a tag, or by its digest once its tag has been asked for."""
        if reference in self._blobs:
            return self._blobs[reference]
        with self._packing:
            if (repository, reference) not in self._tagged:
                image = self._find(repository, reference)
                if image is None:
                    return None
                blobs = image.pack()
                self._blobs |= {blob.digest: blob for blob in blobs}
                self._tagged[repository, reference] = blobs[0]
            return self._tagged[repository, reference]


def _answer(blob: Blob | None, code: str, message: str) -> Response:
    if blob is None:
        return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=404)
    return Response(blob.content, media_type=blob.media_type, headers={"Docker-Content-Digest": blob.digest})
