"""The stand-in for pgweb: a page that says what it is, and queries answered as JSON.

Source: sosedoff/pgweb, pkg/command/options.go, pkg/cli/cli.go and pkg/api.
"""

import argparse
import json
import os
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

STAND_IN = "this is a stand-in for pgweb, made by Roachmesh's sandbox; not pgweb"
PAGE = f"""<!doctype html>
<title>pgweb (stand-in)</title>
<h1>pgweb</h1>
<p>{STAND_IN}.</p>
<form action="api/query"><input name="query" size="80" value="SELECT version()"> <button>Run</button></form>
"""
CONNECT_TIMEOUT_S = 10


def main() -> None:
    """Connect once, as the real one does before it serves, then answer for ever."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _say(STAND_IN)
    url = options.url or _database_url()
    if url:
        _check(url)
    server = ThreadingHTTPServer((options.bind, options.listen), Handler)
    server.daemon_threads = True
    Handler.url = url
    _say("Starting server...")
    server.serve_forever()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    url = ""

    def do_GET(self) -> None:
        """Answer a GET of the page or of the API."""
        address = urlsplit(self.path)
        self._route(address.path, parse_qs(address.query))

    def do_POST(self) -> None:
        """Answer a POST, its form read as a GET's query."""
        form = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self._route(urlsplit(self.path).path, parse_qs(form))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the library's name
        """Log who asked for which path; queries stay out of the log."""
        _say(f"{self.client_address[0]} {self.command} {urlsplit(self.path).path}")

    def _route(self, path: str, form: dict[str, list[str]]) -> None:
        if path == "/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", PAGE)
        elif path == "/api/info":
            self._json({"app": {"version": "0.17.0", "info": STAND_IN}})
        elif path == "/api/connection":
            self._answer("SELECT current_user, current_database(), version()", one=True)
        elif path == "/api/query":
            self._answer(form.get("query", [""])[0])
        else:
            self._error(HTTPStatus.NOT_FOUND, f"{path}: not emulated by the sandbox")

    def _answer(self, query: str, *, one: bool = False) -> None:
        if not query.strip():
            return self._error(HTTPStatus.BAD_REQUEST, "Query parameter is required")
        if not self.url:
            return self._error(HTTPStatus.BAD_REQUEST, "Not connected")
        try:
            columns, rows = _run(self.url, query)
        except psycopg.Error as error:
            return self._error(HTTPStatus.BAD_REQUEST, str(error).strip())
        whole = {"columns": columns, "rows": rows}
        return self._json(dict(zip(columns, rows[0], strict=True)) if one else whole)

    def _json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, "application/json; charset=utf-8", json.dumps(content, default=str))

    def _error(self, status: HTTPStatus, error: str) -> None:
        self._json({"status": status, "error": error}, status)

    def _send(self, status: HTTPStatus, kind: str, content: str) -> None:
        body = content.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _run(url: str, query: str) -> tuple[list[str], list[list[Any]]]:
    """Run a query on a connection of its own, so that a database that was away is found again."""
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        cursor = connection.execute(query.encode())
        if cursor.description is None:
            return ["Rows Affected"], [[cursor.rowcount]]
        return [column.name for column in cursor.description], [list(row) for row in cursor]


def _check(url: str) -> None:
    _say("Connecting to server...")
    try:
        _, rows = _run(url, "SELECT version()")
    except psycopg.Error as error:
        sys.exit(f"Error: {error}")
    _say(f"Connected to {rows[0][0]}")


def _database_url() -> str:
    url = os.environ.get("PGWEB_DATABASE_URL", "")
    if not url and (url := os.environ.get("DATABASE_URL", "")):
        _say("[DEPRECATION] DATABASE_URL is deprecated: use PGWEB_DATABASE_URL")
    return url


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pgweb", description=STAND_IN)
    parser.add_argument("--bind", default="localhost")
    parser.add_argument("--listen", type=int, default=8081)
    parser.add_argument("--url", default="", help="connection string; PGWEB_DATABASE_URL without it")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
