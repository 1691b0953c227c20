"""chrony's configuration: one source of time, and no other."""

from roachmesh.topology import Time

CONFIG_PATH = "/etc/chrony/chrony.conf"
PTP_DEVICE = "/dev/ptp_hyperv"

_COMMON = """\
driftfile /var/lib/chrony/chrony.drift
makestep 1.0 -1
rtcsync
"""


def config(time: Time, *, has_ptp_device: bool) -> str:
    """Render chrony.conf for a machine.

    Source: "Time sync for Linux VMs in Azure" for the reference clock's options.
    """
    if time.source == "ptp_hyperv" and has_ptp_device:
        return f"refclock PHC {PTP_DEVICE} poll 3 dpoll -2 offset 0 stratum 2\n{_COMMON}"
    servers = "".join(f"server {server} iburst\n" for server in time.ntp_servers)
    return servers + _COMMON
