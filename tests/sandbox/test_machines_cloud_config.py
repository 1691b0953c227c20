"""Custom data: what is read, and what is refused in which words."""

import base64
import gzip

import pytest

from sandbox.machines import cloud_config
from sandbox.machines.cloud_config import UnsupportedCustomData


def parse(body: str) -> cloud_config.CloudConfig:
    return cloud_config.parse(f"#cloud-config\n{body}")


def test_no_custom_data_asks_for_nothing() -> None:
    assert cloud_config.parse("") == cloud_config.CloudConfig()
    assert parse("") == cloud_config.CloudConfig()


@pytest.mark.parametrize(
    ("custom_data", "message"),
    [
        ("#!/bin/sh\ntrue\n", "custom data must begin with #cloud-config"),
        ("#cloud-config\nruncmd: [", "custom data is not YAML"),
        ("#cloud-config\n- a list\n", "Input should be a valid dictionary"),
        (
            "#cloud-config\npackages: [nginx]\n",
            "`packages` is not supported by the sandbox. Supported keys: hostname",
        ),
        ("#cloud-config\nusers: [{name: a, uid: 7}]\n", "uid` is not supported by the sandbox"),
        ("#cloud-config\nusers: [{name: Ann}]\n", "String should match pattern"),
        (
            "#cloud-config\nwrite_files: [{path: relative}]\n",
            "write_files.0.path` String should match pattern",
        ),
        (
            "#cloud-config\nwrite_files: [{path: /a, append: true}]\n",
            "write_files.0.append` is not supported",
        ),
        ("#cloud-config\nwrite_files: [{path: /a, encoding: rot13}]\n", "unknown encoding 'rot13'"),
        ("#cloud-config\nwrite_files: [{path: /a, encoding: gz, content: x}]\n", "does not decode"),
        ("#cloud-config\nwrite_files: [{path: /a, permissions: rw}]\n", "does not decode"),
        ("#cloud-config\nssh_keys: {dsa_private: x}\n", "ssh_keys.dsa_private` is not supported"),
    ],
)
def test_what_the_sandbox_cannot_do_is_refused_by_name(custom_data: str, message: str) -> None:
    with pytest.raises(UnsupportedCustomData) as refused:
        cloud_config.parse(custom_data)
    assert message in str(refused.value)


def test_a_refusal_does_not_repeat_secrets() -> None:
    with pytest.raises(UnsupportedCustomData) as refused:
        parse("ssh_keys: {ed25519_private: [hunter2]}\nwrite_files: [{path: hunter2}]\n")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("text/plain", "hello"),
        ("b64", base64.b64encode(b"hello").decode()),
        ("base64", base64.b64encode(b"hello").decode()),
        ("gz+b64", base64.b64encode(gzip.compress(b"hello")).decode()),
        ("gzip+base64", base64.b64encode(gzip.compress(b"hello")).decode()),
    ],
)
def test_files_are_decoded(encoding: str, content: str) -> None:
    config = parse(f"write_files: [{{path: /a, encoding: {encoding}, content: '{content}'}}]")
    assert config.write_files[0].decoded == b"hello"


@pytest.mark.parametrize(("permissions", "mode"), [("'0640'", 0o640), ("0640", 0o640), ("'755'", 0o755)])
def test_permissions_are_octal_however_they_are_written(permissions: str, mode: int) -> None:
    assert parse(f"write_files: [{{path: /a, permissions: {permissions}}}]").write_files[0].mode == mode


def test_commands_become_a_script_with_lists_quoted() -> None:
    assert parse("runcmd: [echo $HOME, [echo, a b, $HOME]]").script == "echo $HOME\necho 'a b' '$HOME'\n"


def test_groups_and_sudo_may_be_text_or_lists() -> None:
    first, second = parse(
        "users: [{name: a, groups: 'x, y', sudo: 'ALL=(ALL) ALL'}, {name: b, groups: [x], sudo: false}]"
    ).users
    assert isinstance(first, cloud_config.User)
    assert isinstance(second, cloud_config.User)
    assert (first.group_names, first.sudo_rules) == (["x", "y"], ["ALL=(ALL) ALL"])
    assert (second.group_names, second.sudo_rules) == (["x"], [])
