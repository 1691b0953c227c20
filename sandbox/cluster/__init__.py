"""What k3s brings along: HelmChart objects and their controller, CoreDNS, volumes on a node's own disk."""
