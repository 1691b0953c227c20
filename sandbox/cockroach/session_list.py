"""SHOW SESSIONS: which node each session came in through, and from where.

PostgreSQL sees every session on its socket. So the first node keeps a file for each, named by the number of
its server process, where a function of PostgreSQL reads it.
Source: pkg/sql/delegate/show_sessions.go of cockroachdb/cockroach.
"""

import json
import shutil
from pathlib import Path

_FOLDER = "standin_sessions"  # below PostgreSQL's data directory
FUNCTIONS = f"""
CREATE FUNCTION crdb_internal.show_sessions(local boolean) RETURNS TABLE (
  node_id bigint, session_id text, status text, user_name text, client_address text, application_name text,
  active_queries text, last_active_query text, session_start timestamptz, active_query_start timestamptz,
  num_txns_executed bigint, trace_id bigint, goroutine_id bigint
) LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT (kept->>'node_id')::bigint, md5(pid::text || backend_start), CASE state WHEN 'active' THEN 'ACTIVE'
    ELSE 'IDLE' END, usename::text, kept->>'client_address', activity.application_name,
    CASE state WHEN 'active' THEN query ELSE '' END, CASE state WHEN 'active' THEN '' ELSE query END,
    backend_start, CASE state WHEN 'active' THEN query_start END, NULL::bigint,
    NULL::bigint, NULL::bigint
  FROM pg_stat_activity AS activity,
    LATERAL (SELECT pg_read_file('{_FOLDER}/' || pid, 0, 1000, true)::jsonb AS kept) AS file
  WHERE kept IS NOT NULL
    AND (usename = session_user OR pg_has_role(session_user, 'admin', 'MEMBER'))
    AND (NOT local OR kept->>'node_id' = current_setting('standin.node_id', true))
$$;
"""  # noqa: S608 -- nothing in it is anybody's input


class SessionList:
    """The sessions that there are."""

    def __init__(self, data: Path) -> None:
        self._folder = data / _FOLDER

    def clear(self) -> None:
        """Forget all, as PostgreSQL has when it starts."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o755)

    def add(self, process: int, node_id: str, client_address: str) -> None:
        """Note a session that has begun."""
        kept = {"node_id": node_id, "client_address": client_address}
        partial = self._folder / f"{process}.partial"
        partial.write_text(json.dumps(kept))
        partial.replace(self._folder / str(process))

    def remove(self, process: int) -> None:
        """Forget a session that has ended."""
        (self._folder / str(process)).unlink(missing_ok=True)
