"""The stand-in `k3s` command: configures and joins real Kubernetes components, and says what it is.

No k3s binary can be had where the sandbox runs, so its artifact mirror serves this one under the official
path. etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and containerd are
the real ones, as child processes instead of goroutines; they are Kubernetes 1.20, since that is what can be
built here. Configuration, flags, token, ports, paths, joining and refusals are k3s's in behaviour.
"""
