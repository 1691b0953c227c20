"""Tests that need real machines are skipped where this computer cannot carry them, and named at the end."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `machines` with the sentences that say what is missing."""
    marked = [item for item in items if item.get_closest_marker("machines")]
    if not marked:
        return
    from sandbox import host  # probing takes a moment: only when a test asks for it

    missing = host.missing()
    if missing:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=" ".join(missing)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test that could not run, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.section("could not run here")
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"{report.nodeid}: {reason}")
