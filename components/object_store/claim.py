"""Create one bucket and the user that owns it; runs as a Job in the cluster and may run again.

The server's own command line can create, but calls it an error when the user or the bucket is there already. So
this speaks to its admin API itself: signed PATCH requests, users as XML.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["Admin", "ClaimError", "claim"]

CONFLICT = 409


class ClaimError(Exception):
    """The server refused; the text holds what was asked and what it said."""


class Admin:
    """The admin API of a versitygw server."""

    def __init__(self, endpoint: str, region: str, access_key: str, secret_key: str, *, patience: float = 60) -> None:
        self.endpoint = endpoint
        self.region = region
        self.credentials = (access_key, secret_key)
        self.patience = patience

    def patch(self, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> bool:
        """Send one request; return False when the server says that the thing exists. Raises ClaimError."""
        answer = self._send(path, body.encode(), dict(headers or {}))
        if answer.status_code == CONFLICT:
            return False
        if answer.status_code >= 300:  # noqa: PLR2004 (HTTP: all that is not success)
            msg = f"PATCH {path.partition('?')[0]}: {answer.status_code} {answer.text.strip()}"
            raise ClaimError(msg)
        return True

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> Any:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import HTTPClientError
        from botocore.httpsession import URLLib3Session

        deadline = time.monotonic() + self.patience
        while True:
            request = AWSRequest("PATCH", self.endpoint + path, data=body, headers=headers)
            S3SigV4Auth(Credentials(*self.credentials), "s3", self.region).add_auth(request)
            try:
                return URLLib3Session(timeout=10).send(request.prepare())
            except HTTPClientError as error:
                if time.monotonic() > deadline:
                    msg = f"{self.endpoint} does not answer: {error}"
                    raise ClaimError(msg) from error
                time.sleep(1)


def claim(admin: Admin, bucket: str, secret_key: str) -> None:
    """Make sure that the user `bucket` exists with this key and owns the bucket of that name, and nothing else."""
    user = f"<Account><Access>{escape(bucket)}</Access><Secret>{escape(secret_key)}</Secret><Role>user</Role></Account>"
    if not admin.patch("/create-user", user):
        changed = f"<MutableProps><Secret>{escape(secret_key)}</Secret></MutableProps>"
        admin.patch(f"/update-user?access={bucket}", changed)
    if not admin.patch(f"/{bucket}/create", headers={"x-vgw-owner": bucket}):
        admin.patch(f"/change-bucket-owner/?bucket={bucket}&owner={bucket}")


if __name__ == "__main__":
    try:
        claim(
            Admin(
                os.environ["ENDPOINT"],
                os.environ["REGION"],
                os.environ["ROOT_ACCESS_KEY_ID"],
                os.environ["ROOT_SECRET_ACCESS_KEY"],
            ),
            os.environ["CLAIM_BUCKET"],
            os.environ["CLAIM_SECRET_KEY"],
        )
    except ClaimError as problem:
        sys.exit(str(problem))
