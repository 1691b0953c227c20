"""The custom data of a machine: its SSH host key, so that the first connection is already pinned."""

import yaml

from roachmesh.ssh_keys import SshKeyPair


def custom_data(host_key: SshKeyPair) -> str:
    """Render the cloud-config document that gives a machine the host key we made for it.

    Source: the `ssh` module of the cloud-init documentation.
    """
    document = {
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": host_key.public + "\n"},
    }
    return "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False)
