"""Streams: what one process tells another through a file that only it writes, on a path that hosts share.

Knows: records in a file, what network file systems do to a reader. May not know: what is told, pilots, tasks.

    32 bytes    magic and version, the writer's identity (random), checksum of these
    records     length, number (0, 1, ...), checksum of the payload, checksum of these three; then the payload

Every checksum starts from the writer's identity, so that bytes of another file never count. A writer only ever
appends: what it could not write it writes again, the same bytes at the same place, before anything else. So a
reader may stop anywhere and look again: what is whole now stays so. Nobody locks anything.

A writer begins a new file in place of what has its name. The writer of the file before notices and stops (it was
fenced); the reader notices, and reads the new one from its start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import struct
from collections.abc import Sequence

from xxhash import xxh3_64_digest, xxh3_128

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import StoreUnwritable, StreamDamaged
from memento.system import fsync_folder

_HEAD = struct.Struct("<8s16s8s")  # magic, identity, checksum of both
_MAGIC = b"MEMSTRM\x01"
_RECORD = struct.Struct("<QQ16s8s")  # length, number, checksum of the payload, checksum of the three
_CHECKED = _RECORD.size - 8
_LONGEST = 1 << 32  # bytes of a record: a length above is none of ours
_PIECE = 1 << 20  # bytes that are read at once, where records are small
_AT_ONCE = 1 << 28  # bytes that one call of `read` returns, about: whoever has been away has much to read
_MOST_BUFFERS = 512  # of one writev; systems take 1,024
_LONGEST_LOOK = 30.0  # seconds that one look proves at most: for longer, this process may have been suspended
# A wrong record with others behind it is waited for so long: pages may arrive in any order.
DAMAGED_SECONDS = 90.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def checked_name(name: str) -> str:
    """Return the name of a pilot or of a stream; raise ValueError where it could lead elsewhere.

    Examples
    --------
    >>> checked_name("pilot-7")
    'pilot-7'
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is no name of a pilot: letters, digits, '-', '_' and '.', 100 at most")
    return name


class Writer:
    """Writes one stream; used by one thread at a time.

    The file is opened for each append and closed after it: a network file system sends what was written when a file
    is closed, and says only then that it could not. It is there from the first append on.

    Parameters
    ----------
    path : str or Path
        The file; its folder is there. What has this name is replaced.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "to")
    >>> Writer(path).append(b"one", b"two")
    >>> Reader(path).read()
    [b'one', b'two']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.identity = os.urandom(16)
        self._made = False
        self._end = _HEAD.size  # of what is certainly written
        self._number = 0  # of the next record
        self._owed: list[bytes] = []  # what could not be written

    @property
    def owes(self) -> int:
        """Bytes that could not be written yet: the next append, also one of nothing, writes them first."""
        return sum(map(len, self._owed))

    def append(self, *payloads: bytes, durable: bool = False) -> None:
        """Append records, all in one write; visible to other hosts on return, on the disk if `durable`.

        Raises
        ------
        StoreUnwritable
            They could not be written. A reader may find some of them; they are owed (see `owes`), so whoever is
            told must not append them again. Also where the file is gone, or another writer has begun one in its place.
        """
        for payload in payloads:
            if len(payload) > _LONGEST:
                raise ValueError(f"a record has at most {_LONGEST:,} bytes; this one has {len(payload):,}")
            self._owed += [_head(self.identity, self._number, payload), payload]
            self._number += 1
        try:
            if not self._made:
                self._make(durable)
            size = self._write(durable)
        except OSError as error:
            why = f"cannot write to the stream ({error.strerror or error})."
            raise StoreUnwritable(self._path, why) from error
        self._end += size
        self._owed.clear()

    def _make(self, durable: bool) -> None:
        """Make the file under another name first: no reader ever sees half of its head."""
        folder, name = os.path.split(self._path)
        temporary = os.path.join(folder, f".{name}-{self.identity.hex()}")
        start = _MAGIC + self.identity
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                _write_all(descriptor, [start + xxh3_64_digest(start)], 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            fsync_folder(folder or ".")
        self._made = True

    def _write(self, durable: bool) -> int:
        descriptor = os.open(self._path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        closed = False
        try:
            if _identity(os.pread(descriptor, _HEAD.size, 0)) != self.identity:
                raise OSError(errno.ESTALE, "another writer has begun a stream in its place")
            at = self._end
            for start in range(0, len(self._owed), _MOST_BUFFERS):
                at += _write_all(descriptor, self._owed[start : start + _MOST_BUFFERS], at)
            if durable:
                os.fsync(descriptor)
            closed = True
            os.close(descriptor)  # where network file systems tell what they could not write
        finally:
            if not closed:
                os.close(descriptor)
        return at - self._end


class Reader:
    """Reads one stream, from its start; whoever asks again gets what is new.

    Each call opens the file afresh, since only then does a network file system look at what is there now. What is
    not whole is waited for: a file that is not there, a torn end, zeros, a file shorter than it was. A stream that
    cannot be read has nothing new; `trouble` says why.

    Parameters
    ----------
    path : str or Path
        The file.
    clock : Clock
        Whose steady clock counts for how long a record has been wrong.

    Attributes
    ----------
    identity : bytes
        Of the writer whose records were read last; b"" before the first.
    trouble : str
        Why the last call could not look; "" where it could.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = os.fspath(path)
        self.identity = b""
        self.trouble = ""
        # Writers that another has replaced: a stale folder may show their files again.
        self._past: set[bytes] = set()
        self._at, self._number = _HEAD.size, 0  # of the next record
        self._quiet: tuple[int, ...] | None = None  # how the file looks while nothing is new
        self._wrong = Silence(clock)  # for how long the next record has been wrong

    def read(self) -> list[bytes]:
        """Return the records that are whole and were not returned yet, in order; about 256 MB at once.

        Raises
        ------
        StreamDamaged
            A record has been wrong for 90 seconds though others were written behind it. All before it were returned.
        """
        try:
            # Where there is a pipe, opening it must not wait.
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            return self._nothing(error)
        try:
            status = os.fstat(descriptor)
            looks = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            self.trouble = ""
            if looks == self._quiet or not stat.S_ISREG(status.st_mode):
                return []
            return self._look(descriptor, status.st_size, looks)
        except OSError as error:
            return self._nothing(error)
        finally:
            os.close(descriptor)

    def _nothing(self, error: OSError) -> list[bytes]:
        gone = error.errno in (errno.ENOENT, errno.ESTALE)  # not made yet; replaced just now
        self.trouble = "" if gone else f"{self._path}: {error.strerror or error}"
        self._wrong.look(heard=False, blind=True)
        return []

    def _look(self, descriptor: int, size: int, looks: tuple[int, ...]) -> list[bytes]:
        """Read on in a file that has changed, or whose end was not whole."""
        self._quiet = None
        identity = _identity(os.pread(descriptor, _HEAD.size, 0))
        if identity is None:
            self._bad(descriptor, 0, size)
            return []
        if identity in self._past:
            return []
        if identity != self.identity:
            if self.identity:
                self._past.add(self.identity)
            self.identity, self._at, self._number = identity, _HEAD.size, 0
            self._wrong.look(heard=True)
        found = self._records(descriptor, size)
        if found:
            self._wrong.look(heard=True)
        elif self._at < size:
            self._bad(descriptor, self._at, size)
        if self._at == size:
            self._quiet = looks
        return found

    def _records(self, descriptor: int, size: int) -> list[bytes]:
        found: list[bytes] = []
        piece, start, budget = b"", self._at, _AT_ONCE
        while self._at < size and budget > 0:
            here = self._at - start
            if here + _RECORD.size > len(piece):
                piece, start, here = os.pread(descriptor, min(_PIECE, size - self._at), self._at), self._at, 0
            length = self._length(piece[here : here + _RECORD.size])
            if length is None or self._at + _RECORD.size + length > size:
                break
            data = piece[here + _RECORD.size : here + _RECORD.size + length]
            if len(data) < length:
                data = _read_all(descriptor, self._at + _RECORD.size, length)
            if not _is_whole(self.identity, piece[here : here + _RECORD.size], data):
                break
            found.append(data)
            self._at += _RECORD.size + length
            self._number += 1
            budget -= _RECORD.size + length
        return found

    def _length(self, head: bytes) -> int | None:
        """Return the length of the record that begins so; None where this is not how the next record begins."""
        if len(head) < _RECORD.size or xxh3_64_digest(self.identity + head[:_CHECKED]) != head[_CHECKED:]:
            return None
        length, number, _, _ = _RECORD.unpack(head)
        return length if number == self._number and length <= _LONGEST else None

    def _bad(self, descriptor: int, at: int, size: int) -> None:
        """Note that what begins here is not whole; raise where it stays so and more was written behind it."""
        # Pages that were read before their bytes had arrived are asked for again.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, at, 0, os.POSIX_FADV_DONTNEED)
        head = os.pread(descriptor, _RECORD.size, at)
        length = self._length(head) if at else None
        if length is not None:
            behind = at + _RECORD.size + length
        else:
            behind = at + (_RECORD.size if at else _HEAD.size)
        waiting = behind >= size or not head.strip(b"\0") or _is_zero(descriptor, behind, size)
        if self._wrong.look(heard=waiting) >= DAMAGED_SECONDS:
            what = (
                f"record {self._number:,} (at byte {at:,}) is not what was written"
                if at
                else "it is no stream"
            )
            raise StreamDamaged(self._path, f"{what}, and more was written behind it.")


class Silence:
    """Counts for how long nothing was heard, by this process' own clock and only while it looks on.

    Clocks of two hosts are never compared. One look proves 30 seconds at most: for longer, this process may have been
    suspended, and what it did not look at may well have spoken.

    Examples
    --------
    >>> silence = Silence(SYSTEM_CLOCK)
    >>> silence.look(heard=True)
    0.0
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._looked = clock.monotonic()
        self._seconds = 0.0

    def look(self, *, heard: bool, blind: bool = False) -> float:
        """Note a look, and what it found; return for how many seconds there has been silence.

        A look that could not see (`blind`) proves nothing: the path may be away for all.
        """
        now = self._clock.monotonic()
        if heard:
            self._seconds = 0.0
        elif not blind:
            self._seconds += min(now - self._looked, _LONGEST_LOOK)
        self._looked = now
        return self._seconds


def _identity(head: bytes) -> bytes | None:
    """Return the identity of the writer whose file begins so; None where it is no stream, or not whole."""
    if len(head) < _HEAD.size:
        return None
    magic, identity, check = _HEAD.unpack(head)
    return bytes(identity) if magic == _MAGIC and check == xxh3_64_digest(head[:24]) else None


def _head(identity: bytes, number: int, payload: bytes) -> bytes:
    check = xxh3_128(identity)
    check.update(payload)
    start = struct.pack("<QQ16s", len(payload), number, check.digest())
    return start + xxh3_64_digest(identity + start)


def _is_whole(identity: bytes, head: bytes, data: bytes) -> bool:
    check = xxh3_128(identity)
    check.update(data)
    return check.digest() == head[16:_CHECKED]


def _write_all(descriptor: int, buffers: Sequence[bytes], at: int) -> int:
    """Write at a place; in one call, but for what systems take at once."""
    views = [memoryview(buffer) for buffer in buffers if buffer]
    written = 0
    while views:
        count = os.pwritev(descriptor, views, at + written)
        if not count:
            raise OSError(errno.EIO, "nothing of it was written")
        written += count
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if count:
            views[0] = views[0][count:]
    return written


def _read_all(descriptor: int, at: int, length: int) -> bytes:
    """Read so many bytes; fewer where the file ends before."""
    pieces = []
    while length and (piece := os.pread(descriptor, min(length, 1 << 30), at)):
        pieces.append(piece)
        at += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _is_zero(descriptor: int, at: int, size: int) -> bool:
    """Tell whether there is nothing but zeros, as a power cut leaves them where bytes had not arrived."""
    while at < size:
        piece = os.pread(descriptor, _PIECE, at)
        if not piece:
            break
        if piece.count(0) != len(piece):
            return False
        at += len(piece)
    return True
