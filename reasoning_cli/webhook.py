"""Tell a webhook what happened: one POST of JSON, tried once."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 5.0


def post_json(url: str, record: dict[str, object]) -> str | None:
    """POST `record`; None when it was taken, else why not. Never raises: whoever tells has more urgent work."""
    request = urllib.request.Request(  # the scheme is checked where the setting is parsed
        url, data=json.dumps(record).encode(), headers={"content-type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            answer.read(1)
        return None
    except (OSError, ValueError, urllib.error.URLError) as error:
        return str(error) or type(error).__name__
