"""Choose where bytes are kept, by what names it: a store's own folder, or an object store's address.

Knows: addresses, the kinds of places. May not know: what bytes mean, the index.

An address is a scheme, a bucket and a prefix, and nothing else. Which server is asked, and with whose credentials, says
the environment alone (AWS_ENDPOINT_URL and its kin), so an address that came with a stranger's store leads to no server
that its reader has not set up himself, and reveals no secret. What it could still do is have its reader ask for objects
in a bucket of somebody's; and have `gc` remove what another store keeps there. Against that each prefix bears the name
of the one store that it belongs to (`memento.store.far`): others may read there, and remove nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from memento.layout import STEPS
from memento.values.places import LocalFolder, Place

if TYPE_CHECKING:
    from memento.values.object_store import ObjectStore

SCHEMES = ("s3", "gs", "az")
_ADDRESS = re.compile(r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{1,220}(/[^?#\x00-\x1f]*)?")
_MEANT = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "azure": "az", "wasb": "az"}


def is_address(payloads: str | os.PathLike[str] | None) -> bool:
    """Tell whether this names an object store, and not a folder."""
    return payloads is not None and "://" in os.fspath(payloads)


def checked_address(payloads: str | os.PathLike[str]) -> str:
    """Return an address as it is kept; raise ValueError, which shows no secret, where it is none."""
    text = os.fspath(payloads)
    scheme, _, rest = text.partition("://")
    shown = _masked(text)
    if "@" in rest.partition("/")[0] or re.search(r"[?#]", rest):
        raise ValueError(
            f"payloads={shown!r}: an address holds no credentials; they are the environment's (AWS_ACCESS_KEY_ID,"
            f" GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY ...). Write"
            f" payloads={_masked(text, bare=True)!r}"
        )
    if scheme == "file":
        raise ValueError(
            f"payloads={shown!r}: a folder is named by its path. Write payloads={'/' + rest.lstrip('/')!r}"
        )
    if scheme not in SCHEMES:
        right = f"{_MEANT[scheme]}://{rest}" if scheme in _MEANT else "s3://BUCKET/PREFIX"
        raise ValueError(
            f"payloads={shown!r}: an object store is s3://, gs:// or az://, and a folder a path. Write"
            f" payloads={right!r}; a server of your own that speaks S3 is named by AWS_ENDPOINT_URL"
        )
    if not _ADDRESS.fullmatch(text) or any(part in (".", "..") for part in rest.split("/")) or "//" in rest:
        raise ValueError(
            f"payloads={shown!r} names no bucket and prefix. Write payloads='{scheme}://BUCKET/PREFIX'"
        )
    return text.rstrip("/")


def _masked(text: str, *, bare: bool = False) -> str:
    scheme, _, rest = text.partition("://")
    rest = re.split(r"[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    if "@" in host:
        host = host.rpartition("@")[2] if bare else f"***@{host.rpartition('@')[2]}"
    return f"{scheme}://{host}{slash}{path}"


def far_place(
    payloads: str, room: str = "", *, for_tasks: bool = False, waited: Callable[[float], None] | None = None
) -> ObjectStore:
    """Return a room of a store's bytes in an object store; patient where a run or a task would fail without it."""
    from memento.values.object_store import FOR_PEOPLE, FOR_TASKS, ObjectStore

    address = f"{payloads}/{room}" if room else payloads
    return ObjectStore(address, patience=FOR_TASKS if for_tasks else FOR_PEOPLE, waited=waited)


def place_of(
    root: str,
    room: str,
    payloads: str = "",
    *,
    for_tasks: bool = False,
    waited: Callable[[float], None] | None = None,
) -> Place:
    """Return where a store keeps one kind of bytes: in the folder `room` of it, or below that prefix of an address.

    `for_tasks` waits for minutes where a server is away, and not for seconds; `waited` is told of these.
    """
    folder = LocalFolder(os.path.join(root, room))
    if not payloads:
        return folder
    far = far_place(payloads, room, for_tasks=for_tasks, waited=waited)
    if room == STEPS:
        from memento.values.far_files import Nearby

        return Nearby(far, folder)
    return far
