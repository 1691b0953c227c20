"""Why topologies have no Pgpool-II: Debian's own, in its simplest mode, before the sandbox's CockroachDB."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.sandbox.cockroach_fixtures import PORT, SERVER, cluster, needs_postgres, wait_until
from tests.sandbox.test_cockroach_clients import listens

ADDRESS, POOLER_PORT = "127.77.16.9", 36999
CONF = """\
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{folder}'
pcp_listen_addresses = ''
pcp_socket_dir = '{folder}'
wd_ipc_socket_dir = '{folder}'
pid_file_name = '{folder}/pgpool.pid'
work_dir = '{folder}'
logdir = '{folder}'
backend_clustering_mode = 'raw'
backend_hostname0 = '{host}'
backend_port0 = {backend_port}
backend_flag0 = 'DISALLOW_TO_FAILOVER'
load_balance_mode = off
num_init_children = 2
sr_check_period = 0
health_check_period = 0
ssl = on
ssl_cert = '{folder}/server.crt'
ssl_key = '{folder}/server.key'
pool_passwd = 'pool_passwd'
"""


@needs_postgres
@pytest.mark.machines
def test_pgpool_ends_a_session_because_the_version_is_none_of_postgresql(
    base_image: Path, tmp_path: Path
) -> None:
    (tmp_path / "pool_passwd").write_text("app:TEXTright-one\n")
    (tmp_path / "pool_hba.conf").write_text("host all all all scram-sha-256\n")
    with cluster("127.77.16", 1) as made:
        (node,) = made.nodes
        made.start()
        node.query("CREATE USER app WITH PASSWORD 'right-one'")
        made.authority.issue(tmp_path, "server", "pooler", SERVER, address=ADDRESS)
        conf = CONF.format(
            address=ADDRESS, port=POOLER_PORT, folder=tmp_path, host=node.address, backend_port=PORT
        )
        (tmp_path / "pgpool.conf").write_text(conf)
        libraries = base_image / "usr/lib/x86_64-linux-gnu"
        program = [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries)]
        program += [f"{base_image}/usr/sbin/pgpool", "-n", "-f", f"{tmp_path}/pgpool.conf"]
        with subprocess.Popen([*program, "-a", f"{tmp_path}/pool_hba.conf"]) as pgpool:
            try:
                wait_until(lambda: listens(ADDRESS, POOLER_PORT), "Pgpool-II listens", 20)
                with (
                    pytest.raises(psycopg.Error, match="wrong major version"),
                    psycopg.connect(
                        host=ADDRESS, port=POOLER_PORT, user="app", password="right-one", dbname="defaultdb"
                    ) as session,
                ):
                    session.execute("SELECT 1")
            finally:
                pgpool.terminate()
