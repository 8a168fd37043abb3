"""A file that is read where it is looked at: headers by pages, packets in the very ranges asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foveate.codec.walk import Span

_PAGE, _BEGINNING = 1024, 8  # bytes; pages that are fetched first: they hold most main headers
_GAP = 4096  # bytes between two ranges that cost less than a request of their own


class RangedBytes:
    """The bytes of a file, fetched on demand; slices like `bytes`.

    fetched: how many bytes have been fetched.
    requests: in how many pieces.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        """Takes the file's size in bytes, and what gives its bytes from a start to before an end."""
        self.size, self._fetch = size, fetch
        self._pages: dict[int, bytes] = {}
        self.fetched = self.requests = 0

    @staticmethod
    def of(data: bytes) -> RangedBytes:
        """Bytes that are there already, to count what reading them in parts would take."""
        return RangedBytes(len(data), lambda start, end: data[start:end])

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, span: slice) -> bytes:
        start, end, step = span.indices(self.size)
        if step != 1:
            raise ValueError("only whole stretches of a file can be read")
        if start >= end:
            return b""
        first, last = start // _PAGE, (end - 1) // _PAGE
        if not self._pages and first == 0:
            last = max(last, min(_BEGINNING, -(-self.size // _PAGE)) - 1)
        missing = [page for page in range(first, last + 1) if page not in self._pages]
        if missing:  # in one piece, even if some of the pages between are there
            begin = missing[0] * _PAGE
            data = self._get(begin, min((missing[-1] + 1) * _PAGE, self.size))
            for page in range(missing[0], missing[-1] + 1):
                self._pages[page] = data[page * _PAGE - begin : (page + 1) * _PAGE - begin]
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
        return self._get(0, self.size)

    def read_spans(self, spans: Sequence[Span]) -> list[bytes]:
        """The bytes of stretches in ascending order, no more than that but for small gaps between them."""
        pieces: list[bytes] = []
        for first, last in merged(spans):
            begin = spans[first].start
            data = self._get(begin, spans[last - 1].end)
            pieces += [data[span.start - begin : span.end - begin] for span in spans[first:last]]
        return pieces

    def _get(self, start: int, end: int) -> bytes:
        """Fetches a stretch.

        Raises:
          EOFError: the file has become shorter.
        """
        data = self._fetch(start, end)
        if len(data) != end - start:
            raise EOFError(f"bytes {start} to {end} of the file are not there any more")
        self.requests += 1
        self.fetched += len(data)
        return data


def merged(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Which of these stretches, in ascending order, are read together: (first, last + 1)."""
    found: list[tuple[int, int]] = []
    for number, span in enumerate(spans):
        if found and span.start - spans[number - 1].end <= _GAP:
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return found
