"""A PostgreSQL of our own for Prefect's server: Debian's program, a cluster on a Unix socket only."""

import os
import shutil
import subprocess
from pathlib import Path

from demo.instance import Instance


def start(instance: Instance) -> None:
    """Make the cluster when absent, and have it running; killed ones recover by themselves."""
    data = instance.postgres_directory / "data"
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(instance.postgres_directory, ignore_errors=True)
        instance.postgres_directory.mkdir(parents=True)
        shutil.chown(instance.postgres_directory, "postgres", "postgres")
        instance.postgres_directory.chmod(0o700)
        making = data.with_name("making")
        _as_postgres(instance, "initdb", "--auth=trust", "--no-sync", f"--pgdata={making}")
        making.rename(data)
    if _is_running(data):
        return
    options = f"-c listen_addresses='' -c unix_socket_directories={instance.postgres_directory}"
    log = instance.postgres_directory / "log"
    command = ["start", "-w", f"--pgdata={data}", f"--log={log}", f"--options={options}"]
    _as_postgres(instance, "pg_ctl", *command)


def _is_running(data: Path) -> bool:
    if not (data / "PG_VERSION").exists():
        return False
    status = subprocess.run(
        _command("pg_ctl", "status", f"--pgdata={data}"), check=False, capture_output=True
    )
    return status.returncode == 0


def _as_postgres(instance: Instance, program: str, *arguments: str) -> None:
    done = subprocess.run(
        _command(program, *arguments),
        check=False,
        cwd="/",
        env={**os.environ, **instance.mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # the server inherits it: a pipe would never end
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr.strip()}")


def _command(program: str, *arguments: str) -> list[str]:
    newest = max(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: int(path.parts[4]))
    return ["runuser", "-u", "postgres", "--", str(newest), *arguments]
