"""How long a deployment takes beside what Azure alone would take: ./run bench."""
