"""Create one bucket and the user that owns it; runs as a Job in the cluster and may run again.

The server's own command line can create, but calls it an error when the user or the bucket is there already. So
this speaks to its admin API itself: signed PATCH requests, users as XML.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Admin", "Answer", "ClaimError", "claim", "signed"]

CONFLICT = 409


class ClaimError(Exception):
    """The server refused, or does not answer; the text holds what was asked and what it said."""


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    text: str


Send = Callable[[str, bytes, Mapping[str, str]], Answer]
"""Sends a PATCH request: path with query, body, headers."""


class Admin:
    """The admin API of a versitygw server."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def patch(self, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> bool:
        """Send one request; return False when the server says that the thing exists. Raises ClaimError."""
        answer = self._send(path, body.encode(), headers or {})
        if answer.status == CONFLICT:
            return False
        if answer.status >= 300:  # noqa: PLR2004 (HTTP: all that is not success)
            # The answer repeats the whole request, byte by byte; two of its elements are for people.
            said = re.findall(r"<(?:Code|Message)>([^<]*)<", answer.text) or [answer.text.strip()]
            msg = f"PATCH {path.partition('?')[0]}: {answer.status} {': '.join(said)}"
            raise ClaimError(msg)
        return True


def signed(endpoint: str, region: str, access_key: str, secret_key: str, *, patience: float = 60) -> Send:
    """Return what sends requests to the server, signed; it waits `patience` seconds for one that starts."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.exceptions import HTTPClientError
    from botocore.httpsession import URLLib3Session

    signature = S3SigV4Auth(Credentials(access_key, secret_key), "s3", region)
    session = URLLib3Session(timeout=10)

    def send(path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        deadline = time.monotonic() + patience
        while True:
            request = AWSRequest("PATCH", endpoint + path, data=body, headers=dict(headers))
            signature.add_auth(request)
            try:
                found = session.send(request.prepare())
            except HTTPClientError as error:
                if time.monotonic() > deadline:
                    msg = f"{endpoint} does not answer: {error}"
                    raise ClaimError(msg) from error
                time.sleep(1)
            else:
                return Answer(found.status_code, found.text)

    return send


def claim(admin: Admin, bucket: str, secret_key: str) -> None:
    """Make sure that the user `bucket` exists with this key and owns the bucket of that name, and nothing else."""
    user = f"<Account><Access>{escape(bucket)}</Access><Secret>{escape(secret_key)}</Secret><Role>user</Role></Account>"
    if not admin.patch("/create-user", user):
        changed = f"<MutableProps><Secret>{escape(secret_key)}</Secret></MutableProps>"
        admin.patch(f"/update-user?access={bucket}", changed)
    if not admin.patch(f"/{bucket}/create", headers={"x-vgw-owner": bucket}):
        admin.patch(f"/change-bucket-owner/?bucket={bucket}&owner={bucket}")


if __name__ == "__main__":
    root = (os.environ[name] for name in ("ENDPOINT", "REGION", "ROOT_ACCESS_KEY_ID", "ROOT_SECRET_ACCESS_KEY"))
    try:
        claim(Admin(signed(*root)), os.environ["CLAIM_BUCKET"], os.environ["CLAIM_SECRET_KEY"])
    except ClaimError as problem:
        sys.exit(str(problem))
