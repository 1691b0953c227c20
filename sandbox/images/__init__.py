"""Container images and the registry that serves them, so that containerd pulls them as it does elsewhere."""
