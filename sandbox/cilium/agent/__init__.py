"""The agent, a pod on every node: addresses for pods, masquerading, Services, and its status."""
