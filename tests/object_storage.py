"""A store that speaks S3, on this machine: moto's server, for the tests that keep something in a bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

BUCKET = "decisions"


@contextmanager
def object_storage() -> Iterator[Mapping[str, str]]:
    """A bucket, as the variables that lead to it. Skips where moto is not installed."""
    moto = pytest.importorskip("moto.server", reason="S3 is tested by moto's server: `pip install 'moto[server]'`")
    server: Any = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "not-to-be-shown",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        from pyarrow import fs

        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            fs.S3FileSystem(
                endpoint_override=variables["AWS_ENDPOINT_URL"], scheme="http", allow_bucket_creation=True
            ).create_dir(BUCKET)
        yield variables
    finally:
        server.stop()
