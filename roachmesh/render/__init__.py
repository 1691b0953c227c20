"""Text out: what is placed on machines and in Kubernetes."""
