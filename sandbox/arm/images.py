"""The images that machines can be made of: Debian 13 alone, in the one version that the sandbox boots."""

from sandbox.arm.cloud import Cloud
from sandbox.arm.errors import ArmError
from sandbox.arm.resource_type import Answer, Call
from sandbox.arm.store import Json

VERSION = "0.20260101.1"


def versions(cloud: Cloud, call: Call, **path: str) -> Answer:
    """The versions of an image, a bare list as Azure has it here."""
    return Answer(200, [_image(cloud, **path)])


def version(cloud: Cloud, call: Call, version: str, **path: str) -> Answer:
    """One version, with what `az vm create` asks of it."""
    found = _image(cloud, **path)
    if version != VERSION:
        raise _not_found(":".join((*path.values(), version)))
    properties: Json = {
        "osDiskImage": {"operatingSystem": "Linux", "sizeInGb": 30},
        "dataDiskImages": [],
        "architecture": "x64",
        "hyperVGeneration": "V2",
    }
    return Answer(200, {**found, "properties": properties})


def _image(cloud: Cloud, location: str, publisher: str, offer: str, sku: str) -> Json:
    if (publisher.lower(), offer.lower()) != ("debian", "debian-13"):
        raise _not_found(f"{publisher}:{offer}:{sku}")
    path = f"publishers/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions/{VERSION}"
    start = f"/subscriptions/{cloud.subscription_id}/providers/Microsoft.Compute/locations/{location}"
    return {"id": f"{start}/{path}", "name": VERSION, "location": location}


def _not_found(urn: str) -> ArmError:
    message = f"The sandbox has no image {urn}; it boots Debian:debian-13:13-gen2:latest."
    return ArmError(400, "NotEmulatedBySandbox", message)
