"""Every name given in Azure, on machines and in the database is made here and nowhere else."""

ADMIN_USER = "roachmesh"
DATABASE_USER = "cockroach"
VERIFY_USER = "roachmesh"  # the SQL user as whom poolers are tried

# Tags on everything we make; what carries none of them is not ours.
TAG_TOPOLOGY = "roachmesh-topology"
TAG_OPERATOR = "roachmesh-operator"
TAG_HOST_KEY = "roachmesh-host-key"
TAG_SSH_KEY = "roachmesh-ssh-key"
TAG_EXPIRES = "roachmesh-expires"
TAG_NIGHT = "roachmesh-night"  # on a group that a night made: the expiry that the night gave it

# Tags on a machine: as what it was made.
TAG_ROLE = "roachmesh-role"
TAG_PODS = "roachmesh-pods"
TAG_SERVICES = "roachmesh-services"
TAG_CLUSTER_ID = "roachmesh-cluster-id"


def resource_group(topology: str) -> str:
    """Name the resource group that holds everything of a topology."""
    return f"roachmesh-{topology}"


def security_group(region: str) -> str:
    """Name a region's network security group."""
    return f"nsg-{region}"


def route_table(region: str) -> str:
    """Name a region's route table."""
    return f"rt-{region}"


def virtual_network(region: str) -> str:
    """Name a region's virtual network."""
    return f"vnet-{region}"


SUBNET = "nodes"


def availability_set(region: str) -> str:
    """Name the availability set of a region whose location has no zones."""
    return f"avail-{region}"


def peering(remote_region: str) -> str:
    """Name the half of a peering that stands in our network and points to `remote_region`."""
    return f"to-{remote_region}"


def node(region: str, number: int) -> str:
    """Name a node's virtual machine, which is its host name too; `number` counts from 1."""
    return f"crdb-{region}-{number}"


def namespace(region: str) -> str:
    """Name the Kubernetes namespace of a region's database; other clusters find its pods by it."""
    return f"crdb-{region}"


STATEFUL_SET = "cockroachdb"  # its headless Service too, as in the pods' names
CONTAINER = "cockroachdb"
PUBLIC_SERVICE = "cockroachdb-public"
NODE_SECRET = "cockroachdb-node"  # noqa: S105 -- a name
LOCALITIES = "localities"
APPLICATION = "application"  # its Deployment, Service and Secret, and its unit on machines


def pod_domain(region: str) -> str:
    """Name the DNS domain of a region's database pods."""
    return f"{STATEFUL_SET}.{namespace(region)}.svc.cluster.local"


def public_host(region: str) -> str:
    """Name in DNS whatever database pods of a region are ready."""
    return f"{PUBLIC_SERVICE}.{namespace(region)}.svc.cluster.local"


def nodes_host(region: str) -> str:
    """Name all database nodes of a region of plain machines; known to its poolers, and to no DNS."""
    return f"{namespace(region)}.internal"


def pooler_host(region: str, pooler: str) -> str:
    """Name in DNS whatever poolers of a region on k3s are ready; their Service is named after the pooler."""
    return f"{pooler}.{namespace(region)}.svc.cluster.local"


def pod(number: int) -> str:
    """Name a database pod within its region; `number` counts from 0."""
    return f"{STATEFUL_SET}-{number}"


def pod_host(region: str, pod: str) -> str:
    """Name a database pod in DNS, the same from every region."""
    return f"{pod}.{pod_domain(region)}"


NETWORK_TEST = "network-test"  # the Service that names the pods of the network test


def test_pod(node: str, run: str) -> str:
    """Name the pod that answers on a node in one run of the network test; other runs are not disturbed."""
    return f"{node}-{run}"


def test_pod_host(region: str, pod: str) -> str:
    """Name a pod of the network test in DNS, the same from every region."""
    return f"{pod}.{NETWORK_TEST}.{namespace(region)}.svc.cluster.local"


def pod_route(node: str) -> str:
    """Name the route to the pods of a node."""
    return f"pods-{node}"


def public_address(node: str) -> str:
    """Name a node's public IP address."""
    return f"pip-{node}"


def interface(node: str) -> str:
    """Name a node's network interface."""
    return f"nic-{node}"


def os_disk(node: str) -> str:
    """Name a node's system disk."""
    return f"osdisk-{node}"


def data_disk(node: str) -> str:
    """Name the disk that holds a node's store."""
    return f"disk-{node}"
