"""Flags, and the configuration file whose keys are flags.

An unknown key in the file of a server is skipped with a warning, and refused for an agent; an unknown flag on
the command line is always refused. A flag of k3s that the stand-in does not emulate is refused aloud.

Source: pkg/cli/cmds/{server,agent}.go and pkg/configfilearg/{parser,defaultparser}.go of k3s-io/k3s.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from sandbox.k3s.errors import Fatal, UsageError
from sandbox.k3s.logs import log

Options = dict[str, list[str]]

_AGENT_VALUES = "token token-file server node-name pause-image private-registry resolv-conf"
_AGENT_LISTS = "node-ip node-label node-taint kubelet-arg kube-proxy-arg"
_SERVER_VALUES = (
    "advertise-address agent-token agent-token-file cluster-domain flannel-backend service-node-port-range "
    "write-kubeconfig write-kubeconfig-mode"
)
_SERVER_LISTS = (
    "cluster-cidr cluster-dns disable etcd-arg kube-apiserver-arg kube-controller-manager-arg "
    "kube-scheduler-arg service-cidr tls-san"
)
_SERVER_SWITCHES = (
    "cluster-init disable-helm-controller disable-kube-proxy disable-network-policy disable-scheduler "
    "secrets-encryption"
)
# What changes nothing here: there is no such component, or nothing to be told.
_AGENT_VALUES_WITHOUT_EFFECT = "v vmodule"
_AGENT_SWITCHES_WITHOUT_EFFECT = "alsologtostderr debug prefer-bundled-bin"
_SERVER_VALUES_WITHOUT_EFFECT = "egress-selector-mode"
_SERVER_SWITCHES_WITHOUT_EFFECT = "disable-cloud-controller etcd-disable-snapshots tls-san-security"
_AGENT_NOT_EMULATED = (
    "airgap-extra-registry container-runtime-endpoint data-dir default-runtime disable-apiserver-lb "
    "disable-default-registry-endpoint docker flannel-cni-conf flannel-conf flannel-iface "
    "image-credential-provider-bin-dir image-credential-provider-config image-service-endpoint "
    "lb-server-port log node-external-dns node-external-ip node-internal-dns nonroot-devices "
    "protect-kernel-defaults rootless selinux snapshotter vpn-auth vpn-auth-file with-node-id"
)
_SERVER_NOT_EMULATED = (
    "advertise-port bind-address cluster-reset cluster-reset-restore-path datastore-cafile "
    "datastore-certfile datastore-endpoint datastore-keyfile default-local-storage-path disable-agent "
    "disable-apiserver disable-controller-manager disable-etcd embedded-registry enable-pprof "
    "etcd-expose-metrics etcd-s3 etcd-s3-access-key etcd-s3-bucket etcd-s3-endpoint etcd-s3-endpoint-ca "
    "etcd-s3-folder etcd-s3-insecure etcd-s3-region etcd-s3-secret-key etcd-s3-skip-ssl-verify "
    "etcd-s3-timeout etcd-snapshot-compress etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-retention "
    "etcd-snapshot-schedule-cron flannel-external-ip flannel-ipv6-masq helm-job-image https-listen-port "
    "kine-tls kube-cloud-controller-manager-arg multus secrets-encryption-provider servicelb-namespace "
    "supervisor-metrics system-default-registry write-kubeconfig-group"
)
_SHORT = {
    "c": "config",
    "d": "data-dir",
    "i": "node-ip",
    "o": "write-kubeconfig",
    "s": "server",
    "t": "token",
}
_ENVIRONMENT = {
    "K3S_TOKEN": "token",
    "K3S_TOKEN_FILE": "token-file",
    "K3S_AGENT_TOKEN": "agent-token",
    "K3S_AGENT_TOKEN_FILE": "agent-token-file",
    "K3S_URL": "server",
    "K3S_NODE_NAME": "node-name",
    "K3S_CLUSTER_INIT": "cluster-init",
    "K3S_RESOLV_CONF": "resolv-conf",
    "K3S_KUBECONFIG_OUTPUT": "write-kubeconfig",
    "K3S_KUBECONFIG_MODE": "write-kubeconfig-mode",
}


class Flags:
    """The flags of `k3s server` or `k3s agent`."""

    def __init__(self, command: str) -> None:
        server = command == "server"
        self.command = command
        self.lists = set(_words(_AGENT_LISTS, server and _SERVER_LISTS))
        self.switches = set(
            _words(
                _AGENT_SWITCHES_WITHOUT_EFFECT,
                server and _SERVER_SWITCHES,
                server and _SERVER_SWITCHES_WITHOUT_EFFECT,
            )
        )
        values = _words(
            _AGENT_VALUES,
            _AGENT_VALUES_WITHOUT_EFFECT,
            server and _SERVER_VALUES,
            server and _SERVER_VALUES_WITHOUT_EFFECT,
        )
        self._emulated = {"config", *values, *self.lists, *self.switches}
        self._not_emulated = set(_words(_AGENT_NOT_EMULATED, server and _SERVER_NOT_EMULATED))

    def read(self, words: list[str], environment: Mapping[str, str], default_file: Path) -> Options:
        """Bring together the environment, the configuration file, its drop-ins and the command line.

        Raises:
            UsageError: a flag is unknown, not emulated, or malformed.
            Fatal: the configuration file cannot be read.
        """
        given = self.parse(words)
        chosen = given.pop("config", [environment.get("K3S_CONFIG_FILE", "")])[-1]
        options = {flag: [environment[name]] for name, flag in _ENVIRONMENT.items() if environment.get(name)}
        options = {flag: values for flag, values in options.items() if flag in self._emulated}
        options |= self.read_files(Path(chosen) if chosen else default_file, must_exist=bool(chosen))
        return options | given

    def parse(self, words: list[str]) -> Options:
        """Read a command line.

        Raises:
            UsageError: as urfave/cli would say it.
        """
        options: Options = {}
        remaining = list(words)
        while remaining:
            word = remaining.pop(0)
            if not word.startswith("-"):
                raise UsageError(f"extra arguments: {word}")
            flag, equals, value = word.lstrip("-").partition("=")
            flag = self._known(_SHORT.get(flag, flag))
            if not equals and flag in self.switches:
                value = "true"
            elif not equals:
                if not remaining:
                    raise UsageError(f"flag needs an argument: -{flag}")
                value = remaining.pop(0)
            self._put(options, flag, [value])
        return options

    def read_files(self, file: Path, *, must_exist: bool = False) -> Options:
        """Read the configuration file and, in alphabetical order, its drop-ins.

        A key replaces what an earlier file said; `key+` adds to it.
        """
        if must_exist and not file.exists():
            raise Fatal(f"open {file}: no such file or directory")
        options: Options = {}
        for source in (file, *sorted(file.with_name(file.name + ".d").glob("*.y*ml"))):
            for key, value in _mapping(source).items():
                adds, flag = key.endswith("+"), key.removesuffix("+")
                if not self._may_be_said(flag):
                    continue
                values = [_text(one) for one in (value if isinstance(value, list) else [value])]
                if not adds:
                    options.pop(flag, None)
                self._put(options, flag, values)
        return options

    def _may_be_said(self, key: str) -> bool:
        if key in self._emulated | self._not_emulated or self.command != "server":
            self._known(key)
            return True
        log.warning("Unknown flag --%s found in config.yaml, skipping\n", key)
        return False

    def _known(self, flag: str) -> str:
        if flag in self._not_emulated:
            raise UsageError(
                f"--{flag} is a flag of k3s that the sandbox's stand-in does not emulate; leave it out"
            )
        if flag not in self._emulated:
            raise UsageError(f"flag provided but not defined: -{flag}")
        return flag

    def _put(self, options: Options, flag: str, values: list[str]) -> None:
        if flag in self.switches and not set(values) <= {"true", "false"}:
            raise UsageError(f'invalid boolean value "{values[-1]}" for -{flag}')
        if flag in self.lists:
            options.setdefault(flag, []).extend(values)
        else:
            options[flag] = values[-1:]


def _words(*groups: str | bool) -> list[str]:
    return [word for group in groups if isinstance(group, str) for word in group.split()]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mapping(file: Path) -> dict[str, object]:
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise Fatal(f"yaml: {error}") from error
    if not isinstance(content or {}, dict):
        raise Fatal(f"{file} must hold a mapping of flags to values")
    return content or {}
