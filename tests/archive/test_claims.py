"""Tests several runs on one archive: each photo belongs to one run while that run is alive."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foveate.archive import claims as claiming
from foveate.archive import leases
from foveate.archive.claims import Claiming, Claims, clear_claims, others_alive
from foveate.storage.source import SourceFile
from tests.archive.planning.test_settle import NETWORKS, SETTINGS, a_jp2


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(leases, "ALIVE_SECONDS", 600.0)


@contextlib.contextmanager
def claims_of(archive: Path, run_id: str, since: float | None = None) -> Iterator[Claims]:
    found = Claims(Claiming(str(archive), run_id, SETTINGS, NETWORKS, since=since))
    yield found
    found.close()


def photo(name: str, size: int = 5) -> SourceFile:
    return SourceFile(f"/photos/{name}", name, size, 0.0)


def dies(archive: Path, run_id: str) -> None:
    """Makes a run look as if it had not renewed its lease for a long time."""
    os.utime(leases.lease_url(str(archive), run_id), (1, 1))


def test_a_run_that_is_alone_claims_nothing(tmp_path: Path) -> None:
    with leases.held(str(tmp_path), "a"), claims_of(tmp_path, "a") as mine:
        assert mine.take(photo("1.jpg")) is True
    assert not (tmp_path / claiming.CLAIMS_FOLDER).exists()


def test_of_two_runs_each_photo_is_one_runs(tmp_path: Path) -> None:
    photos = [photo(f"{number}.jpg") for number in range(40)]
    with contextlib.ExitStack() as stack:
        both = []
        for run_id in ("a", "b"):
            leases.renew(str(tmp_path), run_id)
        for run_id in ("a", "b"):
            both.append(stack.enter_context(claims_of(tmp_path, run_id)))
        with concurrent.futures.ThreadPoolExecutor(8) as workers:
            taken = [list(workers.map(one.take, photos)) for one in both]
            jobs = [workers.submit(one.take, photo(f"more {n}.jpg")) for n in range(20) for one in both]
            more = [job.result() for job in jobs]
    assert taken == [[True] * 40, [False] * 40]
    assert (more.count(True), more.count(False)) == (20, 20)


def test_what_a_run_began_before_another_came_is_its_own(tmp_path: Path) -> None:
    with leases.held(str(tmp_path), "a"), claims_of(tmp_path, "a") as first:
        assert first.take(photo("1.jpg")) is True
        with leases.held(str(tmp_path), "b"), claims_of(tmp_path, "b") as second:
            assert second.take(photo("1.jpg")) is False
            assert second.take(photo("2.jpg")) is True
            assert first.take(photo("2.jpg")) is False


def test_a_run_waits_for_others_that_look_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 1.0)
    with leases.held(str(tmp_path), "a"), claims_of(tmp_path, "a") as first:
        for number in range(100):
            assert first.take(photo(f"{number}.jpg")) is True
        with leases.held(str(tmp_path), "b"), claims_of(tmp_path, "b") as second:
            assert not any(second.take(photo(f"{number}.jpg")) for number in range(100))


def test_a_run_that_could_not_claim_what_it_began_does_so_later(tmp_path: Path) -> None:
    with leases.held(str(tmp_path), "a"), claims_of(tmp_path, "a") as first:
        assert first.take(photo("1.jpg")) is True
        in_the_way = tmp_path / claiming.CLAIMS_FOLDER
        in_the_way.write_bytes(b"no folder")
        with leases.held(str(tmp_path), "b"):
            mended = threading.Timer(0.5, in_the_way.unlink)  # after some looks that failed
            mended.start()
            with claims_of(tmp_path, "b") as second:
                assert second.take(photo("1.jpg")) is False
            mended.join()


def test_a_process_that_was_killed_is_not_waited_for_longer_than_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "ALIVE_SECONDS", 0.3)
    with leases.held(str(tmp_path), "a"):
        folder = tmp_path / claiming.NOTICED_FOLDER
        folder.mkdir(parents=True)
        (folder / "run=a.process=0123456789abcdef.sees=a.json").write_text("{}")
        with leases.held(str(tmp_path), "b"), claims_of(tmp_path, "b") as mine:
            assert mine.take(photo("1.jpg")) is True


def test_what_a_run_did_that_has_ended_since_is_not_done_again(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        since = stack.enter_context(leases.held(str(tmp_path), "b"))
        leases.renew(str(tmp_path), "a")
        other = stack.enter_context(claims_of(tmp_path, "a"))
        mine = stack.enter_context(claims_of(tmp_path, "b", since))
        assert other.take(photo("1.jpg")) is True
        other.close()
        leases.release(str(tmp_path), "a")
        time.sleep(4 * leases.RENEW_SECONDS)  # time to look, and see nobody
        assert others_alive(str(tmp_path), "b") == set()
        assert mine.take(photo("1.jpg")) is False


def test_a_claim_of_a_run_that_died_is_taken_over_and_one_of_several_does(tmp_path: Path) -> None:
    for run_id in ("a", "b", "c"):
        leases.renew(str(tmp_path), run_id)
    with claims_of(tmp_path, "a") as dead:
        assert dead.take(photo("1.jpg")) is True
    with claims_of(tmp_path, "b") as one, claims_of(tmp_path, "c") as other:
        assert one.take(photo("1.jpg")) is False
        dies(tmp_path, "a")
        assert [one.take(photo("1.jpg")), other.take(photo("1.jpg"))] == [True, False]
        assert one.take(photo("1.jpg")) is True  # a bundle that is tried again


def test_a_claim_of_a_run_that_ended_during_this_one_counts_until_the_next_look(tmp_path: Path) -> None:
    leases.renew(str(tmp_path), "a")
    leases.renew(str(tmp_path), "c")
    with leases.held(str(tmp_path), "b") as since, claims_of(tmp_path, "a") as ended:
        ended.take(photo("1.jpg"))
        leases.release(str(tmp_path), "a")
        with claims_of(tmp_path, "b", since) as beside:
            assert beside.take(photo("1.jpg")) is False
        with claims_of(tmp_path, "b", time.time() + 9) as later:
            assert later.take(photo("1.jpg")) is True


@pytest.mark.parametrize("written", ["a.jpg.jp2", "a.jpg"])
def test_what_another_run_has_done_meanwhile_is_not_done_again(tmp_path: Path, written: str) -> None:
    leases.renew(str(tmp_path), "a")
    with leases.held(str(tmp_path), "b") as since, claims_of(tmp_path, "b", since) as mine:
        data = a_jp2() if written.endswith(".jp2") else b"a photo"
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            (tmp_path / written.replace("a.jpg", name)).write_bytes(data)
        os.utime(tmp_path / written.replace("a.jpg", "b.jpg"), (since - 9, since - 9))
        if written.endswith(".jp2"):
            (tmp_path / "c.jpg.jp2").write_bytes(a_jp2(settings="00" * 8))
        size = len(b"a photo")
        assert mine.take(photo("a.jpg", size)) is False
        assert mine.take(photo("b.jpg", size)) is True  # of an earlier run
        assert mine.take(photo("c.jpg", size if written.endswith(".jp2") else size + 1)) is True


def test_with_masks_what_another_run_has_done_counts_though_the_record_covers_its_mask(
    tmp_path: Path,
) -> None:
    leases.renew(str(tmp_path), "a")
    with leases.held(str(tmp_path), "b") as since:
        mine = Claims(Claiming(str(tmp_path), "b", SETTINGS, NETWORKS, since=since, has_masks=True))
        (tmp_path / "a.jpg.jp2").write_bytes(a_jp2(settings="00" * 8))
        (tmp_path / "b.jpg.jp2").write_bytes(a_jp2(weights="00" * 8))
        assert [mine.take(photo(name)) for name in ("a.jpg", "b.jpg")] == [False, True]
        mine.close()


def test_claims_are_removed_by_the_last_run(tmp_path: Path) -> None:
    folder = tmp_path / claiming.CLAIMS_FOLDER
    leases.renew(str(tmp_path), "a")
    leases.renew(str(tmp_path), "b")
    with claims_of(tmp_path, "a") as mine:
        mine.take(photo("1.jpg"))
    clear_claims(str(tmp_path), "a")
    assert list(folder.iterdir())
    leases.release(str(tmp_path), "a")
    clear_claims(str(tmp_path), "b")
    assert not list(folder.iterdir())


def test_a_compaction_is_no_run_that_works_on_photos(tmp_path: Path) -> None:
    for run_id in ("a", "compacted-20260101T000000Z-abcdef", "b"):
        leases.renew(str(tmp_path), run_id)
    assert others_alive(str(tmp_path), "a") == {"b"}


def test_a_run_that_renews_its_lease_is_distinguished_from_a_dead_one(tmp_path: Path) -> None:
    leases.renew(str(tmp_path), "dead")
    renewed = time.time() - leases.ALIVE_SECONDS + 0.4  # it runs out in a moment
    os.utime(leases.lease_url(str(tmp_path), "dead"), (renewed, renewed))
    with leases.held(str(tmp_path), "alive"):
        assert leases.wait_for_signs_of_life(str(tmp_path), {"dead", "alive", "gone"}) == {"dead", "gone"}
