"""HelmChart objects: their definitions, the controller that turns each into a Job, and what the Job runs."""
