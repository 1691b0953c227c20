"""One file per resource type: what Azure refuses, fills in, shows, and does with it."""
