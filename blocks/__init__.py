"""Prefect blocks: credentials and keys, and how to get a client from them."""

from blocks.artifacts import Artifacts
from blocks.azure_credentials import AzureCredentials
from blocks.certificates import Certificates
from blocks.cockroachdb_licence import CockroachDBLicence
from blocks.database_passwords import DatabasePasswords
from blocks.kubeconfig import Kubeconfig
from blocks.kubernetes_secrets import KubernetesSecrets
from blocks.results_key import ResultsKey
from blocks.ssh_key import SshKey

__all__ = [
    "Artifacts",
    "AzureCredentials",
    "Certificates",
    "CockroachDBLicence",
    "DatabasePasswords",
    "Kubeconfig",
    "KubernetesSecrets",
    "ResultsKey",
    "SshKey",
]
