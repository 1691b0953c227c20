"""The stand-in for Cilium: its chart, its agent on every node, and ClusterMesh.

Pods get addresses and routes from the standard CNI plugins, nftables masquerades, kube-proxy serves Services.
There is no eBPF, no network policy, no identity and no Hubble here.
"""
