"""Downloads: a file arrives whole and as published, or not at all. This file does NOT know any data set.

The library pooch was considered. Like this file it checks a checksum, retries, and leaves no half-written file. But it
deletes what arrived of a broken download and starts again from zero, which hurts with the 1.4 GB of CelebA. It has no
lock, so two processes download everything twice. A login page of a network, or Google Drive's page about its quota,
shows only as a wrong checksum, and errors of proxies and certificates come without advice. Its Untar writes members
under the names that the archive gives. So users would lose more than the 150 lines that it would save.
"""

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..bars import progress
from ..files import why
from ..kinds import GZIPPED, NOT_KNOWN, kind_of
from .gzipped import md5

if TYPE_CHECKING:
    import requests

CHUNK = 100_000  # bytes that are written at once; a broken connection loses fewer than these
TRIES = 3  # connections to a server that hangs up half-way; each resumes where the one before stopped
TIMEOUT = (10, 60)  # seconds to connect, seconds of silence


class CannotProvide(Exception):
    """A file of a data set cannot be put in its place; the message says why."""


class Source(NamedTuple):
    """One file to download: its place below the root, its address, and the MD5 that its publisher gives."""

    file: str
    url: str
    md5: str


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file. The system frees it when the process ends, however that happens.

    A process that has to wait says on stderr for `what`. Raises CannotProvide where the file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            print(f"waiting for another process that is getting {what} ({lock.lock_file}) ...", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise CannotProvide(f"the folder cannot be written to ({why(error)})") from error
    try:
        yield
    finally:
        lock.release()


def fetch(source: Source, root: Path) -> None:
    """Download one file into its place below root. What arrived of a broken download is kept, and resumed later.

    Raises CannotProvide where the server cannot be reached, sends something else, or the file cannot be written.
    """
    import requests
    from urllib3.exceptions import HTTPError

    path = root / source.file
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resumed = partial.exists()
        _download(source.url, partial)
        if resumed and md5(partial) != source.md5:  # the part that we had was bad: once more, from the start
            partial.unlink()
            _download(source.url, partial)
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise CannotProvide(_explain(error, source.url, partial)) from error
    except OSError as error:
        if error.errno is None:  # requests' own, of certificates that are not there
            raise CannotProvide(_explain(error, source.url, partial)) from error
        raise CannotProvide(f"{partial} cannot be written ({room(error)})") from error
    if (found := md5(partial)) != source.md5:
        kind = kind_of(partial)
        partial.unlink()
        other = "not the published file" if kind in (NOT_KNOWN, GZIPPED) else f"{kind.what}, and not the published file"
        raise CannotProvide(f"what {source.url} sent is {other} (MD5 {found}, not {source.md5}), and was deleted")
    partial.replace(path)


def _download(url: str, partial: Path) -> None:
    """Make `partial` whole, over a few connections if need be."""
    import requests

    for tries_left in reversed(range(TRIES)):
        try:
            return _download_rest(url, partial)
        except (requests.ConnectionError, requests.Timeout):
            if not tries_left or not partial.exists():  # nothing has arrived: there is no internet
                raise


def _download_rest(url: str, partial: Path) -> None:
    """Append what is missing from `partial`, or write it anew if the server sends everything.

    Raises requests.ConnectionError, with what arrived kept, when the connection breaks. Whether an old part fits
    the rest is for the caller to see, from the checksum.
    """
    import requests
    from urllib3.exceptions import HTTPError

    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if have and response.status_code == 416:  # nothing lies beyond: it was whole already, or is not this file
            return
        response.raise_for_status()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.HTTPError(f"{_title(response)!r} on a web page, and sends no file")
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0
        length = int(response.headers.get("Content-Length", 0))
        # Not iter_content, which would unpack a .gz that the server declares as Content-Encoding.
        chunks = response.raw.stream(CHUNK, decode_content=False)
        description = f"{partial.name.removesuffix('.partial')}, in {CHUNK / 1e6:g} MB"
        try:
            with partial.open("ab" if have else "wb") as file:
                for chunk in progress(chunks, ceil(length / CHUNK) or None, description):
                    file.write(chunk)
        except HTTPError as error:
            raise requests.ConnectionError(f"the connection broke: {error}") from error


def _title(response: "requests.Response") -> str:
    """Of a page that came instead of a file: from a server with too many visitors, or a network that wants a login."""
    page = next(response.iter_content(CHUNK), b"").decode(errors="replace")
    found = re.search(r"<title>(.*?)</title>", page, re.DOTALL | re.IGNORECASE)
    return found[1].strip() if found else "nothing"


def _explain(error: Exception, url: str, partial: Path) -> str:
    """What went wrong with a download, in few words."""
    import requests

    from .connection import reason

    kept = f"; {partial.stat().st_size} bytes of it are kept in {partial}" if partial.exists() else ""
    if isinstance(error, requests.HTTPError):
        return f"the server says {error}{kept}"
    if partial.exists():
        return f"the connection to {urlsplit(url).netloc} was lost{kept}"
    return reason(error, url)


def room(error: OSError) -> str:
    """What the system says of a file that cannot be written, and what to do."""
    full = ": free some space, or set NCSN_EDU_DATA to a folder on another disk" if error.errno == errno.ENOSPC else ""
    return f"{why(error)}{full}"
