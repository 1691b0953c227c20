"""The image of PgBouncer: the real program, as Debian builds it.

Source: the Dockerfile and entry point of edoburu/docker-pgbouncer.
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


def _content(path: str) -> bytes:
    return (base_image.path() / path.lstrip("/")).read_bytes()


def _libraries(program: str) -> list[str]:
    """Return what the loader loads for a program, itself included."""
    words = run("chroot", base_image.path(), "ldd", program).split()
    return [word for word in words if word.startswith("/")]
