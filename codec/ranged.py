"""Reads only the parts of a file that are looked at: headers by pages, packets by exact ranges.

What is known to be needed is asked for at once: in a bucket, it is how often one has to wait that takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from foveate.codec.walk import Span

_PAGE, _BEGINNING = 512, 8  # bytes; pages that are fetched first: they hold most main headers
# Bytes between two ranges that cost less than a request of their own: a store that takes $0.40 for a million
# requests and $0.12 for a gigabyte sent takes as much for one as for 3,300 bytes of the other.
_GAP = 3072


class RangedBytes:
    """The bytes of a file, fetched on demand; slices like `bytes`.

    fetched: how many bytes have been fetched.
    requests: in how many pieces.
    rounds: how often something had to be waited for.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], *, at_once: int = 1) -> None:
        """A file of `size` bytes.

        Args:
          size: of the file.
          fetch: gives its bytes from a start to before an end.
          at_once: how many threads may call that at the same time.
        """
        self.size, self._fetch, self._at_once = size, fetch, at_once
        self._pages: dict[int, bytes] = {}
        self.fetched = self.requests = self.rounds = 0

    @staticmethod
    def of(data: bytes) -> RangedBytes:
        """Bytes already in memory, for counting what reading parts of them would take."""
        return RangedBytes(len(data), lambda start, end: data[start:end])

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, span: slice) -> bytes:
        start, end, step = span.indices(self.size)
        if step != 1:
            raise ValueError("only whole stretches of a file can be read")
        if start >= end:
            return b""
        self.prefetch([Span(start, end)])
        first, last = start // _PAGE, (end - 1) // _PAGE
        joined = b"".join(self._pages[page] for page in range(first, last + 1))
        return joined[start - first * _PAGE : end - first * _PAGE]

    def startswith(self, prefix: bytes, start: int = 0, end: int | None = None) -> bool:
        """Like `bytes.startswith`."""
        stop = self.size if end is None else end
        return start <= self.size and self[start : min(start + len(prefix), stop)] == prefix

    def find(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        """Like `bytes.find`; reads all that lies between."""
        found = self[start : self.size if end is None else end].find(wanted)
        return found if found < 0 else found + start

    def rfind(self, wanted: bytes, start: int = 0, end: int | None = None) -> int:
        """Like `bytes.rfind`; reads all that lies between."""
        found = self[start : self.size if end is None else end].rfind(wanted)
        return found if found < 0 else found + start

    def whole(self) -> bytes:
        """All of the file, in one piece."""
        return self._get([Span(0, self.size)])[0]

    def is_there(self, start: int, end: int) -> bool:
        """Whether a stretch has been fetched by pages."""
        return all(page in self._pages for page in range(start // _PAGE, -(-end // _PAGE)))

    def prefetch(self, spans: Iterable[Span]) -> None:
        """Fetches the missing pages of these ranges, all at once."""
        wanted: set[int] = set()
        for start, end in spans:
            first, last = start // _PAGE, -(-min(end, self.size) // _PAGE)
            if not self._pages and first == 0:
                last = max(last, min(_BEGINNING, -(-self.size // _PAGE)))
            missing = [page for page in range(first, last) if page not in self._pages]
            if missing:  # in one piece, even if some of the pages between are there
                wanted.update(range(missing[0], missing[-1] + 1))
        pages = sorted(wanted)
        reads = merged([Span(page * _PAGE, min((page + 1) * _PAGE, self.size)) for page in pages], gap=0)
        for read, data in zip(reads, self._get(reads), strict=True):
            for at in range(0, len(data), _PAGE):
                self._pages[(read.start + at) // _PAGE] = data[at : at + _PAGE]

    def reads_for(self, spans: Sequence[Span]) -> list[Span]:
        """The ranges that `read_spans` would fetch."""
        rest = [self._missing(span) for span in spans]
        return merged([span for span in rest if span.start < span.end])

    def read_spans(self, spans: Sequence[Span]) -> list[bytes]:
        """The bytes of ranges in ascending order, reading nothing more than small gaps between them."""
        reads = self.reads_for(spans)
        data = self._get(reads)
        pieces, number = [], 0
        for span in spans:
            start, end = self._missing(span)
            body = b""
            if start < end:
                while end > reads[number].end:
                    number += 1
                at = reads[number].start
                body = data[number][start - at : end - at]
            pieces.append(self[span.start : start] + body + self[end : span.end])
        return pieces

    def _missing(self, span: Span) -> Span:
        """A stretch without the pages at its beginning and end that are there; empty if all are."""
        start, end = span
        while start < end and start // _PAGE in self._pages:
            start = min((start // _PAGE + 1) * _PAGE, end)
        while start < end and (end - 1) // _PAGE in self._pages:
            end = max((end - 1) // _PAGE * _PAGE, start)
        return Span(start, end)

    def _get(self, spans: Sequence[Span]) -> list[bytes]:
        """Fetches stretches, at the same time if that is allowed.

        Raises:
          EOFError: the file has become shorter.
        """
        threads = min(self._at_once, len(spans))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(self._fetch, *zip(*spans, strict=True)))
        else:
            found = [self._fetch(*span) for span in spans]
        for (start, end), data in zip(spans, found, strict=True):
            if len(data) != end - start:
                raise EOFError(f"bytes {start} to {end} of the file are not there any more")
        self.fetched += sum(map(len, found))
        self.requests += len(found)
        self.rounds += bool(found)
        return found


def merged(spans: Sequence[Span], gap: int = _GAP) -> list[Span]:
    """Ranges in ascending order, joined where they are no further apart than a gap."""
    found: list[Span] = []
    for span in spans:
        if found and span.start - found[-1].end <= gap:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found
