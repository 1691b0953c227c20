"""The images of connection poolers: the real programs, as Debian builds them.

Source: the Dockerfiles and entry points of edoburu/docker-pgbouncer and pgpool/pgpool2_on_k8s.
"""

from sandbox.commands import run
from sandbox.images.image import Account, Image
from sandbox.machines import image as base_image

_POSTGRES = Account("postgres", 70)
_PGBOUNCER_ENTRY_POINT = b"""#!/bin/sh
# The real one writes pgbouncer.ini and userlist.txt from variables like these.
for name in DATABASE_URL DB_HOST DB_USER DB_PASSWORD ADMIN_PASSWORDS ADMIN_PASSWORD STATS_PASSWORDS; do
  if env | grep -q "^$name="; then
    echo "$name: not emulated by the sandbox; mount a pgbouncer.ini and a userlist.txt" >&2
    exit 64
  fi
done
if ! [ -f /etc/pgbouncer/pgbouncer.ini ]; then
  echo "/etc/pgbouncer/pgbouncer.ini: none; making one is not emulated by the sandbox, mount one" >&2
  exit 64
fi
exec "$@"
"""
_PGPOOL = "/opt/pgpool-II"
_PGPOOL_PROGRAMS = ("pgpool", "pg_enc", "pg_md5", "pcp_node_count", "pcp_node_info", "pcp_reload_config")
_PGPOOL_ENTRY_POINT = b"""#!/bin/sh
# The real one makes a configuration from /config and PGPOOL_ variables before anything else.
echo "the image's entry point is not emulated by the sandbox; give a command, such as" >&2
echo "/opt/pgpool-II/bin/pgpool -n -f /config/pgpool.conf -a /config/pool_hba.conf" >&2
exit 64
"""


def pgbouncer(tag: str) -> Image | None:
    """PgBouncer with its libraries, and BusyBox as its shell, as on Alpine Linux."""
    if tag != "v1.24.1-p1":
        return None
    busybox = _content("/usr/bin/busybox")
    return Image(
        "PgBouncer on Alpine Linux; this is PgBouncer itself, as Debian builds it",
        entrypoint=("/entrypoint.sh",),
        command=("/usr/bin/pgbouncer", "/etc/pgbouncer/pgbouncer.ini"),
        programs={
            "/usr/bin/pgbouncer": _content("/usr/sbin/pgbouncer"),
            "/entrypoint.sh": _PGBOUNCER_ENTRY_POINT,
            "/bin/busybox": busybox,
            **{path: _content(path) for path in _libraries("/usr/sbin/pgbouncer")},
        },
        links={f"/bin/{name}": "busybox" for name in ("sh", "env", "grep", "cat", "ls", "nc", "sleep")},
        account=_POSTGRES,
        own_folders=("/etc/pgbouncer", "/var/log/pgbouncer", "/var/run/pgbouncer"),
        machines_usr=False,
    )


def pgpool(tag: str) -> Image | None:
    """Pgpool-II, which is the machine's, by the paths of the image."""
    if tag != "4.6":
        return None
    return Image(
        "Pgpool-II on Alpine Linux; this is Pgpool-II itself, as Debian builds it",
        entrypoint=(f"{_PGPOOL}/bin/entrypoint.sh",),
        command=(f"{_PGPOOL}/bin/start.sh",),
        programs={f"{_PGPOOL}/bin/entrypoint.sh": _PGPOOL_ENTRY_POINT},
        links={f"{_PGPOOL}/bin/{name}": f"/usr/sbin/{name}" for name in _PGPOOL_PROGRAMS},
        account=_POSTGRES,
        own_folders=(f"{_PGPOOL}/etc", "/var/run/pgpool", "/var/run/postgresql"),
    )


def _content(path: str) -> bytes:
    return (base_image.path() / path.lstrip("/")).read_bytes()


def _libraries(program: str) -> list[str]:
    """Return what the loader loads for a program, itself included."""
    words = run("chroot", base_image.path(), "ldd", program).split()
    return [word for word in words if word.startswith("/")]
