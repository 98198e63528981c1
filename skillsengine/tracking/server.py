"""Where the server of Weights & Biases is, whether it answers, and whether runs are to be reported to it.

Without wandb itself: the control plane asks, too.
"""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping

from skillsengine.spec.schema import Tracking

PROBE_SECONDS = 5.0
"""Longest wait for the server to answer at all; W&B itself would retry for minutes."""
_CLOUD = "https://api.wandb.ai"


def mode_of(tracking: Tracking) -> str:
    """`online`, `offline` or `disabled`, without asking W&B, which might ask the user."""
    wished = os.environ.get("WANDB_MODE", "")
    if tracking.mode == "disabled" or wished == "disabled":
        return "disabled"
    key = os.environ.get("WANDB_API_KEY")
    if tracking.mode == "offline" or wished in ("offline", "dryrun") or not key:
        return "offline"
    return "online"


def server_address(env: Mapping[str, str] = os.environ) -> str:
    """WANDB_BASE_URL, or W&B's cloud."""
    return env.get("WANDB_BASE_URL") or _CLOUD


def probe(address: str) -> None:
    """Raise ConnectionError unless something answers at `address` in time.

    In a thread of its own: looking up a host's name obeys no time-out.
    """
    failure: list[str] = ["no answer"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(address, timeout=PROBE_SECONDS):
                failure.clear()
        except urllib.error.HTTPError:
            failure.clear()  # any answer will do
        except (OSError, ValueError) as error:
            failure[0] = str(error)

    thread = threading.Thread(target=ask, name="wandb-probe", daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if failure:
        raise ConnectionError(f"{address} does not answer within {PROBE_SECONDS:g} s ({failure[0]})")
