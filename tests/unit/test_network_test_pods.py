"""What a pod of the network test is said to do."""

from typing import Any

import pytest

from tasks.network_test_pods import state


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        (None, "no pod yet"),
        ({"status": {}}, "Pending"),
        ({"status": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}}, "Running"),
        (
            {
                "status": {
                    "phase": "Pending",
                    "containerStatuses": [
                        {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
                    ],
                }
            },
            "Pending; ErrImagePull not found",
        ),
        (
            {"status": {"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"}},
            "Failed; DeadlineExceeded too long",
        ),
    ],
)
def test_a_pod_is_said_to_do_what_it_does_and_why_no_more(pod: dict[str, Any] | None, said: str) -> None:
    assert state(pod) == said
