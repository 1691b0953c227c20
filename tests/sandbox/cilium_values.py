"""Values for the chart cilium: those of a cluster in a mesh, with one thing changed."""

import base64
import copy
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _authority() -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Cilium CA")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = {"cert": certificate.public_bytes(serialization.Encoding.PEM), "key": key_pem}
    return {name: base64.b64encode(content).decode() for name, content in pem.items()}


GOOD: dict[str, Any] = {
    "cluster": {"name": "eastus", "id": 1},
    "routingMode": "native",
    "ipam": {"mode": "kubernetes"},
    "k8s": {"requireIPv4PodCIDR": True},
    "autoDirectNodeRoutes": False,
    "kubeProxyReplacement": True,
    "k8sServiceHost": "127.0.0.1",
    "k8sServicePort": 6444,
    "bpf": {"masquerade": True},
    "enableIPv4Masquerade": True,
    "ipMasqAgent": {
        "enabled": True,
        "config": {"nonMasqueradeCIDRs": ["10.1.0.0/16", "10.10.0.0/16"], "masqLinkLocal": True},
    },
    "operator": {"replicas": 1},
    "envoy": {"enabled": False},
    "hubble": {"enabled": False},
    "tls": {"ca": _authority()},
    "clustermesh": {
        "useAPIServer": True,
        "apiserver": {
            "service": {"type": "NodePort", "nodePort": 32379},
            "tls": {"auto": {"enabled": True, "method": "helm"}},
        },
        "config": {
            "enabled": True,
            "domain": "mesh.cilium.io",
            "clusters": [{"name": "westus", "port": 32379, "ips": ["10.2.1.4", "10.2.1.5"]}],
        },
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return good values, with another value at a dotted path."""
    result = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    inner = result
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return result
