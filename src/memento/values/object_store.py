"""Keep bytes in an object store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage, by obstore.

Knows: names, objects, what a request may answer. May not know: what the bytes mean, checksums, the index.

An object appears at the end of its upload, whole, so that nobody sees a torn one. Nothing is mapped: what is read goes
into memory, in one request a content, however large.

Forks: who has made a request may not be copied, since the copy would wait for ever for threads that only the first
process has. So obstore is imported here alone, and late; no program that has imported it is copied to make workers
(`executors/processes/fork.py`); and a process that a task forks is told so, where it would have waited.

Outages: for people a request is tried again for some seconds, for tasks and runs (`patience`) for minutes, which is
logged once: a server that is away for a while costs time and fails nothing.

Credentials and the server's address are the environment's, as each provider's own tools have them. Neither is ever a
part of an address of ours, so neither is stored, shown, or sent to a server that a stranger's store has named.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from memento import faultpoints
from memento.clock import SYSTEM_CLOCK
from memento.errors import StoreError, StoreUnwritable
from memento.optional_packages import imported
from memento.values.buffers import PIECE, flat
from memento.values.places import Content, Place, checked
from memento.values.store_answers import is_passing, no_bucket, reason, right_line

log = logging.getLogger("memento.store")

FOR_PEOPLE = 6.0  # seconds in which a request is tried again
FOR_TASKS = 300.0
# Without a byte from the server in this time a request has failed. While something is sent the server is silent: a part
# of an upload may take that long.
_SILENCE, _SILENCE_FOR_TASKS, _SENDING = "7s", "20s", "90s"
_PART = 8 << 20  # bytes of a part of an upload
_MOST_PARTS = 9_000  # S3 takes 10,000
_AT_ONCE = 3  # parts that are under way, each in memory
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0  # seconds between two tries
_TOLD_AFTER = 2.0  # seconds of waiting that are worth a line
_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_")
_ENDPOINTS = frozenset(
    "AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL AWS_ENDPOINT AZURE_STORAGE_ENDPOINT GOOGLE_BASE_URL".split()
)
_clients: dict[tuple[str, str, tuple[tuple[str, str], ...]], Any] = {}
_used_by = 0  # the process that has made a request, here or in the one that this is a copy of

T = TypeVar("T")


class Stamp(NamedTuple):
    """What tells a content from any other of its name: S3 and Azure go by the tag, Google Cloud by the version."""

    e_tag: str | None
    version: str | None

    def known(self) -> dict[str, str]:
        """What obstore takes: it refuses None."""
        return {name: told for name, told in self._asdict().items() if told is not None}


class ObjectStore(Place):
    """A prefix of a bucket: "s3://bucket/prefix", "gs://...", "az://..."; "memory://" is gone with this object.

    For `patience` seconds a request is tried again while the server cannot be reached; `waited` is told of those in
    which a task only waited for it, which do not count towards its timeout.
    """

    lists_free = False

    def __init__(
        self, address: str, *, patience: float = FOR_PEOPLE, waited: Callable[[float], None] | None = None
    ) -> None:
        self.address = address.rstrip("/") if "://" in address.rstrip("/") else address
        self._patience, self._waited = patience, waited
        self._told = False
        obstore = imported("obstore", f"payloads={address!r}", "object-store")
        from obstore import exceptions, store

        self._requests, self._errors = obstore, exceptions
        try:
            self._store = _client(store, address, _SILENCE if patience <= FOR_PEOPLE else _SILENCE_FOR_TASKS)
            self._sending = (
                self._store if address.startswith("memory:") else _client(store, address, _SENDING)
            )
        except StoreError:
            raise
        except Exception as error:  # no region, no account
            raise StoreError(
                address, f"it cannot be opened ({reason(error)}).", right_line(error, address)
            ) from None

    def where(self, name: str) -> str:
        return f"{self.address}/{checked(name)}"

    def write(self, name: str, buffers: Sequence[Any]) -> None:
        views = [flat(buffer) for buffer in buffers]
        size = sum(view.nbytes for view in views)
        key = _key(name)
        part = max(_PART, size // _MOST_PARTS)

        def put() -> None:
            faultpoints.at("object.writing")
            if size <= _PART:
                self._requests.put(self._sending, key, b"".join(views), use_multipart=False)
            else:
                pieces = _pieces(views, part)
                self._requests.put(self._sending, key, pieces, chunk_size=part, max_concurrency=_AT_ONCE)

        try:
            self._ask(put, name)
        except StoreError as error:
            raise StoreUnwritable(error.path, error.problem, error.todo) from None
        except OSError as error:
            raise StoreUnwritable(self.where(name), f"cannot write the object ({error.strerror}).") from None

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Content]:
        key = _key(name)
        found = self._ask(lambda: self._requests.get(self._store, key), name)
        yield _Object(found, lambda options: self._ask(lambda: self._get(key, options), name))

    def _get(self, key: str, options: Any) -> Any:
        return self._requests.get(self._store, key, options=options)

    def exists(self, name: str) -> bool:
        key = _key(name)
        try:
            self._ask(lambda: self._requests.head(self._store, key), name)
        except FileNotFoundError:
            return False
        return True

    def names(self, below: str = "") -> Iterator[str]:
        return (name for name, _ in self.sizes(below))

    def sizes(self, below: str = "") -> Iterator[tuple[str, int]]:
        """Yield names as `names` does, each with its bytes: one request for a thousand of them."""
        prefix = _key(below) if below else None
        found = self._ask(lambda: iter(self._requests.list(self._store, prefix)), below)
        while page := self._ask(lambda: next(found, None), below):
            yield from ((unquote(entry["path"], errors="surrogateescape"), entry["size"]) for entry in page)

    def remove(self, name: str) -> None:
        key = _key(name)
        with contextlib.suppress(FileNotFoundError):
            self._ask(lambda: self._requests.delete(self._store, key), name)

    def clear(self, below: str) -> None:
        with contextlib.suppress(OSError, StoreError):
            keys = [_key(name) for name in self.names(below)]
            if keys:
                self._ask(lambda: self._requests.delete(self._store, keys), below)

    def rename(self, name: str, other: str) -> None:
        self.copy(name, other)
        self.remove(name)

    def copy(self, name: str, other: str) -> None:
        """Have the server copy a content to another name; raises FileNotFoundError where it is gone."""
        old, new = _key(name), _key(other)
        self._ask(lambda: self._requests.copy(self._sending, old, new), name)

    # --- what only who claims something needs ------------------------------------------------------------

    def stamped(self, name: str) -> tuple[bytes, Stamp]:
        """Return a small content, and what tells it from any other of that name."""
        key = _key(name)

        def get() -> tuple[bytes, Stamp]:
            found = self._requests.get(self._store, key)
            return bytes(found.bytes()), _stamp(found.meta)

        return self._ask(get, name)

    def claim(self, name: str, content: bytes, instead_of: Stamp | None = None) -> Stamp | None:
        """Write where nothing is, or `instead_of` exactly this; return the new content's stamp, None where others did.

        What a request that was cut off has done is not known: who gets None reads whose it is.
        """
        key, mode = _key(name), "create" if instead_of is None else instead_of.known()
        lost = (self._errors.AlreadyExistsError, self._errors.PreconditionError, FileNotFoundError)

        def put() -> Stamp | None:
            try:
                found = self._requests.put(self._store, key, content, mode=mode, use_multipart=False)
            except lost as error:
                if no_bucket(error):
                    raise
                return None
            return _stamp(found)

        return self._ask(put, name)

    # --- asking ------------------------------------------------------------------------------------------

    def _ask(self, request: Callable[[], T], name: str) -> T:
        """Make a request, again and again while the server is away, as long as there is patience.

        Raises `FileNotFoundError`, another `OSError` where it fails for now, `StoreError` where trying again is no use.
        """
        self._mark_use(name)
        begun, wait, told = SYSTEM_CLOCK.monotonic(), _FIRST_WAIT, 0.0
        while True:
            try:
                answer = request()
            except (StoreError, self._errors.NotSupportedError):
                raise
            except Exception as error:
                why, over = reason(error), SYSTEM_CLOCK.monotonic() - begun
                if isinstance(error, FileNotFoundError) and not no_bucket(error):
                    raise FileNotFoundError(
                        errno.ENOENT, "there is no such object", self._shown(name)
                    ) from None
                if not is_passing(error):
                    no = f"the object store refuses it: {why}."
                    raise StoreError(self._shown(name), no, right_line(error, self.address)) from None
                if over + wait > self._patience:
                    raise OSError(errno.EHOSTUNREACH, why, self._shown(name)) from None
                if over > _TOLD_AFTER and not self._told and self._patience > FOR_PEOPLE:
                    self._told = True
                    minutes = self._patience / 60
                    log.warning("%s: %s; waiting for it, up to %.0f min", self.address, why, minutes)
            else:
                if self._told:
                    self._told = False
                    log.warning("%s answers again", self.address)
                return answer
            self._wait(wait, over - told)
            wait, told = min(wait * 2, _LONGEST_WAIT), over + wait

    def _wait(self, seconds: float, failed: float) -> None:
        """Wait; told before, for a timeout runs meanwhile, as is what the request took that has `failed`."""
        if self._waited is not None:
            self._waited(failed + seconds)
        time.sleep(seconds)

    def _mark_use(self, name: str) -> None:
        global _used_by
        if _used_by not in (0, os.getpid()):
            raise StoreError(
                self._shown(name),
                "this process was forked from one that had asked the object store before, and would wait for ever.",
                'Start it afresh: multiprocessing.get_context("spawn"), or joblib\'s loky, which does so.',
            )
        _used_by = os.getpid()

    def _shown(self, name: str) -> str:
        return f"{self.address}/{name}" if name else self.address


def _client(store: Any, address: str, silence: str) -> Any:
    """Return obstore's object for an address: one for all of a process, since it holds connections."""
    if address.startswith("memory:"):
        return store.from_url(address)
    settings = tuple((name, os.environ[name]) for name in sorted(os.environ) if name.startswith(_SETTINGS))
    if (address, silence, settings) not in _clients:
        servers = {name: value for name, value in settings if name in _ENDPOINTS and value}
        for name, value in servers.items():
            if not value.startswith(("http://", "https://")):
                raise StoreError(
                    address, f"{name} is no address of a server.", f"Write {name}=https://HOST:PORT"
                )
        over_http = any(value.startswith("http://") for value in servers.values())
        limits = {"connect_timeout": "3s", "read_timeout": silence, "timeout": "24h"}
        made = store.from_url(
            address, client_options={**limits, "allow_http": over_http}, retry_config={"max_retries": 0}
        )
        _clients[address, silence, settings] = made
    return _clients[address, silence, settings]


class _Object(Content):
    """An object that is open: one answer of the server, read as it comes."""

    def __init__(self, answer: Any, ask: Callable[[dict[str, Any]], Any]) -> None:
        self._ask, self._stamp = ask, answer.meta["e_tag"]
        self.size = answer.meta["size"]
        self._stream: Any = answer.stream(min_chunk_size=PIECE)
        self._at, self._chunk = 0, memoryview(b"")  # where the chunk begins, and what is left of it

    def read_into(self, memory: memoryview, at: int) -> int:
        if at >= self.size or not memory.nbytes:
            return 0
        if at != self._at:
            self._go_to(at)
        if not self._chunk.nbytes:
            self._chunk = self._next()
        part = self._chunk[: memory.nbytes]
        memory[: part.nbytes] = part
        self._chunk, self._at = self._chunk[part.nbytes :], self._at + part.nbytes
        return part.nbytes

    def _next(self) -> memoryview:
        try:
            return memoryview(next(self._stream, b""))
        except Exception:  # cut off: go on from there
            self._go_to(self._at)
            try:
                return memoryview(next(self._stream, b""))
            except Exception as error:
                raise OSError(errno.EHOSTUNREACH, reason(error)) from None

    def _go_to(self, at: int) -> None:
        options: dict[str, Any] = {"range": {"offset": at}}
        if self._stamp:
            options["if_match"] = self._stamp
        self._stream = self._ask(options).stream(min_chunk_size=PIECE)
        self._at, self._chunk = at, memoryview(b"")


def _stamp(told: Mapping[str, Any]) -> Stamp:
    return Stamp(told.get("e_tag"), told.get("version"))


def _pieces(views: Sequence[memoryview], size: int) -> Iterator[memoryview]:
    for view in views:
        for start in range(0, view.nbytes, size):
            yield view[start : start + size]


def _key(name: str) -> str:
    """Return the name of an object, in which no control character may stand.

    Examples
    --------
    >>> _key("ab/naïve.bin"), _key("new\\nline"), _key("50%")
    ('ab/naïve.bin', 'new%0Aline', '50%25')
    """
    if name.isprintable() and "%" not in name:
        return checked(name)
    return "".join(map(_safe, checked(name)))


def _safe(char: str) -> str:
    if char == "%" or not char.isprintable():
        return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
    return char
