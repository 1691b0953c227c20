"""The emulated network: what Azure's fabric does with packets, in namespaces and nftables."""
