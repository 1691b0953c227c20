"""One running demo: its files, its ports, its environment; the tests have one of their own beside it."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sandbox.instance import STATE_DIR
from sandbox.instance import Instance as Sandbox

MARK = "ROACHMESH_DEMO"  # an environment variable of every process we start, by which they are found again


@dataclass(frozen=True)
class Instance:
    """A demo, or the tests' one: the sandbox of the same name, and a Prefect of its own."""

    sandbox: Sandbox

    @property
    def directory(self) -> Path:
        """Where everything of this instance is kept, the sandbox's part included."""
        return STATE_DIR / self.sandbox.name

    @property
    def prefect_port(self) -> int:
        """Loopback port of Prefect's API and UI."""
        return 4200 + self.sandbox.index

    @property
    def prefect_home(self) -> Path:
        """Prefect's own folder; the user's ~/.prefect is never touched."""
        return self.directory / "prefect"

    @property
    def results(self) -> Path:
        """Where runs keep what finished tasks gave, whatever worker they are on."""
        return self.prefect_home / "storage"

    @property
    def postgres_directory(self) -> Path:
        """The data, the socket and the log of the PostgreSQL that Prefect's server uses."""
        return self.directory / "postgres"

    @property
    def ui(self) -> str:
        """Address of Prefect's UI."""
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def mark(self) -> dict[str, str]:
        """The environment variable by which `down` finds our processes."""
        return {MARK: self.sandbox.mark}

    def page(self, flow_run_id: UUID) -> str:
        """Address of a run's page, in the one of Prefect's two UIs that draws pictures."""
        return f"{self.ui}/v2/runs/flow-run/{flow_run_id}"

    def client_environment(self) -> dict[str, str]:
        """What a client of this Prefect needs: the worker, the command line, the demo itself."""
        return {
            "PREFECT_HOME": str(self.prefect_home),
            "PREFECT_API_URL": f"{self.ui}/api",
            "PREFECT_UI_URL": f"{self.ui}/v2",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "DO_NOT_TRACK": "1",
        }

    def server_environment(self) -> dict[str, str]:
        """What the server needs besides; its encryption key stands in a file outside its database."""
        leases = "prefect.server.concurrency.lease_storage.filesystem"
        return {
            **self.client_environment(),
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": leases,
            # Runs that ended two weeks ago go, with their tasks, logs and artifacts; events do after one.
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
            "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(14 * 24 * 3600),
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self.prefect_port),
            "PREFECT_API_DATABASE_CONNECTION_URL": (
                f"postgresql+asyncpg://postgres@/postgres?host={self.postgres_directory}"
            ),
            # One transaction for many task runs, where the default is one each. Prefect cuts the interval
            # down to whole seconds, and would spin without a pause below 1.
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
            "PREFECT_SERVER_ENCRYPTION_KEY": self._encryption_key(),
        }

    def _encryption_key(self) -> str:
        from cryptography.fernet import Fernet

        path = self.directory / "encryption.key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(Fernet.generate_key())
        return path.read_text()
