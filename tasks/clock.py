"""The time on machines: one source for the whole cluster, kept by chrony."""

import csv

from blocks.logger import logger
from roachmesh.errors import HostBusy
from roachmesh.outcome import Outcome
from roachmesh.render import chrony
from tasks.deployment import Deployment
from tasks.engine import once
from tasks.hosts import session
from tasks.machines import Machine
from tasks.sessions import Session
from tasks.wait import wait_until

SYNCHRONISE_TIMEOUT_S = 120.0
# CockroachDB ends itself at 80 % of --max-offset, which is 250 ms.
MAX_OFFSET_S = 0.05


@once("time {machine.host.name}")
def ensure_time_synchronised(deployment: Deployment, machine: Machine) -> Outcome:
    """Have chrony follow the one source, and wait until it does.

    Raises:
        NotReadyYet: the clock is not within 50 ms after 120 s.
    """
    host = session(deployment, machine.host)
    installed = host.ensure_packages("chrony")
    time = deployment.plan.time
    has_ptp_device = host.exists(chrony.PTP_DEVICE)
    if time.source == "ptp_hyperv" and not has_ptp_device:
        logger().warning(
            "the machine has no %s: it asks %s for the time",
            chrony.PTP_DEVICE,
            ", ".join(time.ntp_servers),
        )
    content = chrony.config(time, has_ptp_device=has_ptp_device)
    placed = host.place_files([(chrony.CONFIG_PATH, content, "0644", "root")])
    did = host.ensure_service("chrony.service", files=[chrony.CONFIG_PATH])
    offset_s = wait_until(
        lambda: _offset(host),
        what=f"the clock of {machine.host.name} within {MAX_OFFSET_S * 1000:.0f} ms",
        timeout_s=SYNCHRONISE_TIMEOUT_S,
        advice="See `chronyc sources` on the machine.",
    )
    logger().info("the clock is %.1f ms off", offset_s * 1000)
    changed = bool(placed) or did["change"] != "unchanged"
    return host.outcome("chrony", new=installed, changed=changed)


def _offset(host: Session) -> float:
    """Read how far the clock is off.

    Raises:
        HostBusy: it follows no source closely enough.
    """
    row = next(csv.reader([host.run(["chronyc", "-c", "tracking"])]))
    # Fields by position: 4 is the system clock's offset in seconds, the last one the leap status.
    offset_s, status = float(row[4]), row[-1].strip()
    if status != "Normal" or abs(offset_s) >= MAX_OFFSET_S:
        raise HostBusy(f"chrony says: {status.lower()}, {offset_s * 1000:.0f} ms off")
    return offset_s
