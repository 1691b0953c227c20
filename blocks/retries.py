"""How requests to Azure are retried: as Azure's SDK does it, but said in the run's log."""

import re
from typing import Any

from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import RetryPolicy

from blocks.logger import logger

# What follows in a URL may be a signed token: Azure signs the addresses of its operations.
QUERY = re.compile(r"\?[^\s'\")]*")
LOGGER = "run_logger"  # a request's option: an operation is polled in a thread that knows of no run


class SpokenRetries(RetryPolicy[Any, Any]):
    """Says why and how long it waits; of requests it repeats the method and the path, and never headers."""

    def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
        """Take our own option out of a request, which nothing further down knows."""
        given = options.pop(LOGGER, None)
        return {**super().configure_retries(options), LOGGER: given or logger()}

    def sleep(
        self, settings: dict[str, Any], transport: Any, response: PipelineResponse[Any, Any] | None = None
    ) -> None:
        """Say it, then wait."""
        asked = self.get_retry_after(response) if response else None
        wait_s = asked or self.get_backoff_time(settings)
        last = settings["history"][-1]
        request = last.http_request
        settings[LOGGER].warning(
            "Azure: %s %s: %s; %s",
            request.method,
            QUERY.sub("", request.url),
            _reason(last.http_response, last.error),
            f"trying again in {wait_s:.0f} s" if wait_s else "trying again",
        )
        super().sleep(settings, transport, response)


def _reason(response: Any, error: Exception | None) -> str:
    """Say what went wrong: the answer's status, or why there was none."""
    if response is not None:
        return f"{response.status_code} {response.reason}".strip()
    return QUERY.sub("", str(error).strip().split("\n")[0]) or type(error).__name__
