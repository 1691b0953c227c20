import base64
from ipaddress import IPv4Address
from typing import Any

import pytest
import yaml

from roachmesh.kubeconfig import Access, Context, document, merge, read_access

ACCESS = Access(ca="ca", certificate="certificate", key="hush")
EASTUS = Context("seed-eastus", IPv4Address("203.0.113.7"), ACCESS)
WESTUS = Context("seed-westus", IPv4Address("203.0.113.9"), ACCESS)
THEIRS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {"colors": True},
    "clusters": [{"name": "work", "cluster": {"server": "https://work"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me", "namespace": "mine"}}],
    "current-context": "work",
}


def test_what_k3s_writes_is_read_and_written_with_the_public_address() -> None:
    theirs = document([EASTUS])
    theirs["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:6443"

    access = read_access(yaml.safe_dump(theirs))

    assert access == ACCESS
    assert document([EASTUS])["clusters"][0]["cluster"]["server"] == "https://203.0.113.7:6443"


@pytest.mark.parametrize("text", ["", "{", "clusters: []", "clusters: 3", "a: b"])
def test_what_is_no_kubeconfig_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="it is no kubeconfig as k3s writes it"):
        read_access(text)


def test_the_key_shows_in_no_log() -> None:
    assert "hush" not in repr(EASTUS)


def test_a_file_of_ours_has_a_context_for_each_cluster_and_the_first_is_current() -> None:
    ours = document([EASTUS, WESTUS])

    assert [one["name"] for one in ours["contexts"]] == ["seed-eastus", "seed-westus"]
    assert ours["current-context"] == "seed-eastus"
    assert base64.b64decode(ours["users"][0]["user"]["client-key-data"]) == b"hush"


def test_merging_keeps_what_is_theirs_and_never_switches_the_current_context() -> None:
    merged = merge(THEIRS, document([EASTUS]))

    assert merged["current-context"] == "work"
    assert merged["preferences"] == {"colors": True}
    assert [one["name"] for one in merged["contexts"]] == ["work", "seed-eastus"]
    assert merged["contexts"][0] == THEIRS["contexts"][0]


def test_merging_again_replaces_our_own_entries() -> None:
    once = merge(THEIRS, document([EASTUS]))
    moved = Context("seed-eastus", IPv4Address("203.0.113.99"), ACCESS)

    again = merge(once, document([moved]))

    assert merge(once, document([EASTUS])) == once
    assert [one["name"] for one in again["clusters"]] == ["work", "seed-eastus"]
    assert again["clusters"][1]["cluster"]["server"] == "https://203.0.113.99:6443"


def test_merging_into_nothing_leaves_no_current_context_to_choose() -> None:
    assert "current-context" not in merge({}, document([EASTUS]))
