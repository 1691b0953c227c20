"""The pure core: topology, plan, certificates, rendered text; no Prefect, Azure, SSH, clock or network."""
