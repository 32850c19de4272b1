"""Say in plain words what an object store has answered, whether it passes, and which line would be right.

Knows: HTTP statuses, what S3, Google and Azure call their errors. May not know: places, retries.

An error's own text holds the request with all that is in its address, and pages of its inner life: none of it is shown
but what stands here.
"""

from __future__ import annotations

import os
import re

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\"(?:reason|code)\": ?\"(\w+)\"")
_TOLD = re.compile(r"<Message>([^<]{1,200})</Message>|\"message\": ?\"([^\"]{1,200})\"")
_SERVER = re.compile(r"https?://[^/\s?#@]+")
_REGION = re.compile(r"expecting '([\w-]+)'|<Region>([\w-]+)</Region>")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "MissingCredentials", "InstanceCredentials")
_NOT_FOUND = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist", "container does not exist")
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_SETUP = "docs/cluster/object-stores.md shows how each provider is set up."


def status(error: BaseException) -> int:
    """Return the HTTP status of an answer; 0 where none came."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


def is_passing(error: BaseException) -> bool:
    """Tell whether the same request may succeed later: the server is away, busy, or another request was in the way."""
    text = str(error)
    if any(word in text for word in _NO_CREDENTIALS) or "builder error" in text:
        return False
    found = status(error)
    if found:
        return found in _PASSING or found > 504
    return (
        "HTTP error" in text
        or "error sending" in text
        or "timed out" in text
        or "decod" in text
        or "kind: Timeout" in text
    )


def no_bucket(error: BaseException) -> bool:
    """Tell whether the bucket itself is not there, and not only an object."""
    return any(word in str(error) for word in _NOT_FOUND)


def reason(error: BaseException) -> str:
    """Say what an error means, without the request's address or anybody's keys."""
    text = str(error).partition("Debug source")[0]
    if any(word in text for word in _NO_CREDENTIALS):
        return "no credentials are found in the environment"
    server = _SERVER.search(text)
    who = server[0] if server else "the server"
    found = status(error)
    if found:
        code, told = _CODE.search(text), _TOLD.search(text)
        words = [str(found), *(one for m in (code,) if m for one in m.groups() if one)]
        more = f": {(told[1] or told[2]).strip().rstrip('.')}" if told else ""
        return f"{who} answers {' '.join(words)}{more}"
    if is_passing(error):
        silent = re.search(r"kind: Timeout|timed out|TimedOut", str(error))
        return f"{who} does not answer" if silent else f"{who} cannot be reached"
    return text.strip().splitlines()[0][:200].rstrip(".") if text.strip() else type(error).__name__


def right_line(error: BaseException, address: str) -> str:
    """Return the line that would be right."""
    text, kind = str(error), address.partition(":")[0]
    bucket = address.partition("://")[2].partition("/")[0]
    region = _REGION.search(text)
    if region:
        return f"Set the bucket's region: export AWS_REGION={region[1] or region[2]}"
    if no_bucket(error):
        make = {
            "gs": f"gcloud storage buckets create gs://{bucket}",
            "az": f"az storage container create -n {bucket}",
        }
        return f'Make it ({make.get(kind, f"aws s3 mb s3://{bucket}")}), or name another: payloads="{kind}://BUCKET/..."'
    if any(word in text for word in (*_NO_CREDENTIALS, "Account must be specified")):
        lines = {
            "gs": "export GOOGLE_APPLICATION_CREDENTIALS=key.json, or `gcloud auth application-default login`",
            "az": "export AZURE_STORAGE_ACCOUNT_NAME=NAME AZURE_STORAGE_ACCOUNT_KEY=KEY",
        }
        line = lines.get(kind, "export AWS_ACCESS_KEY_ID=ID AWS_SECRET_ACCESS_KEY=KEY AWS_REGION=REGION")
        return f"Set them: {line}. {_SETUP}"
    if status(error) in (301, 307, 400) and kind == "s3":
        now = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return f"The region may be another than {now}: export AWS_REGION=... (the bucket's own)."
    if status(error) in (401, 403):
        return f"The credentials need to list {bucket!r}, and to get, put and delete objects in it. {_SETUP}"
    return _SETUP
