"""A prefix on S3, listed in parallel.

Put here how its keys are shared among requests: S3 lists 1,000 keys per request, one request after the other, but any
range of keys at once with any other. A report that stands in for listing belongs in `s3_inventory.py`.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice, pairwise

from fruit_assets.object_store.s3_store import ListedObject, S3Store

# As many as a client has connections.
_THREADS = 10
# Enough to keep the threads busy to the end; each is at least one request.
_WANTED_RANGES = 64
_DEEPEST_LEVEL = 4
# Pages of a listing after which it pays to learn of folders first, which is a request each, and a range each.
_FEW_PAGES = 5

_Pages = Iterator[Sequence[ListedObject]]


def list_in_parallel(store: S3Store) -> Iterator[ListedObject]:
    """Every object of the store, in no order; some ten pages of 1,000 are in memory.

    Raises:
        StorageError: the bucket is missing or may not be listed.
    """
    listed, pages = "", 0
    for page in islice(store.pages(), _FEW_PAGES):
        yield from page
        listed, pages = page[-1].key if page else listed, pages + 1
    if pages == _FEW_PAGES:
        yield from _list_after(store, listed)


def _list_after(store: S3Store, listed: str) -> Iterator[ListedObject]:
    bounds = [listed, *(folder for folder in _boundaries(store) if folder > listed), None]
    ranges = (_pages_between(store, start or "", end) for start, end in pairwise(bounds))
    with ThreadPoolExecutor(_THREADS) as pool:

        def next_page(pages: _Pages) -> "Future[Sequence[ListedObject] | None]":
            return pool.submit(next, pages, None)

        pending = {next_page(pages): pages for pages in islice(ranges, _THREADS)}
        while pending:
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                pages, page = pending.pop(done), done.result()
                if page is not None:
                    pending[next_page(pages)] = pages
                    yield from page
                elif (following := next(ranges, None)) is not None:
                    pending[next_page(following)] = following


def _boundaries(store: S3Store) -> list[str]:
    """Some folders of the store, sorted, that cut it into ranges: those of the first level that has enough."""
    folders: list[str] = [""]
    for _ in range(_DEEPEST_LEVEL):
        with ThreadPoolExecutor(_THREADS) as pool:
            below = sorted(name for names in pool.map(store.folders, folders) for name in names)
        if len(below) <= len(folders):
            break
        folders = below
        if len(folders) >= _WANTED_RANGES:
            break
    step = max(1, len(folders) // _WANTED_RANGES)
    return [folder for folder in folders[::step] if folder]


def _pages_between(store: S3Store, start: str, end: str | None) -> _Pages:
    for page in store.pages(start_after=start):
        yield [item for item in page if end is None or item.key < end]
        if end is not None and page and page[-1].key >= end:
            return
