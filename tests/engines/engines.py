"""Starts engines for a test and stops them afterwards, each with its Beam flags."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.engines import fetch

SLOTS = 2  # of the Flink cluster
_START_SECONDS = 120
_JAVA = (
    "java",
    "-Xmx700m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("lang", "nio", "time", "util")),
)
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"


@dataclasses.dataclass(frozen=True)
class Engine:
    """A running engine: its name, the flags that lead to it, a cluster's REST address.

    `lose_tasks` kills a cluster's task manager with all its workers, and starts another one.
    """

    name: str
    flags: tuple[str, ...]
    rest: str = ""
    lose_tasks: Callable[[], None] | None = None

    def jobs(self) -> list[dict[str, Any]]:
        """The cluster's jobs, the newest first."""
        jobs: list[dict[str, Any]] = get(f"{self.rest}/jobs/overview")["jobs"]
        return sorted(jobs, key=lambda job: -int(job["start-time"]))


@contextlib.contextmanager
def prism(folder: Path) -> Iterator[Engine]:
    """Prism, which Beam starts itself; the work is done in the process that runs the pipeline."""
    yield Engine("prism", ("--runner=PrismRunner", f"--prism_location={fetch.prism()}"))


@contextlib.contextmanager
def flink(folder: Path) -> Iterator[Engine]:
    """Flink inside its job server; the work is done in the process that runs the pipeline."""
    with _job_server(folder, "[local]") as endpoint:
        flags = ("--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK")
        yield Engine("flink", flags)


@contextlib.contextmanager
def flink_cluster(folder: Path) -> Iterator[Engine]:
    """A standalone Flink cluster of two processes; it starts workers in processes of their own."""
    boot = _boot_script(folder, fetch.boot())
    rest = f"localhost:{_free_port()}"
    jars, _ = fetch.flink()
    (folder / "config.yaml").write_text(_configuration(rest))
    manager = _java(folder, jars, _JOB_MANAGER, "--configDir", str(folder))
    with manager as one, _TaskManager(folder, jars) as tasks, _job_server(folder, rest) as endpoint:
        _wait(lambda: get(f"http://{rest}/overview")["slots-available"] == SLOTS, one, tasks.started)
        flags = (
            "--runner=PortableRunner",
            f"--job_endpoint={endpoint}",
            "--environment_type=PROCESS",
            f"--environment_config={json.dumps({'command': str(boot)})}",
            f"--parallelism={SLOTS}",
        )
        yield Engine("flink-cluster", flags, f"http://{rest}", tasks.replace)


class _TaskManager:
    """A task manager and its workers, which are processes of one group."""

    def __init__(self, folder: Path, jars: Path) -> None:
        self._folder, self._jars = folder, jars
        self._running = contextlib.ExitStack()

    def __enter__(self) -> _TaskManager:
        command = _java(self._folder, self._jars, _TASK_MANAGER, "--configDir", str(self._folder))
        self.started = self._running.enter_context(command)
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def replace(self) -> None:
        """Kills it with all its workers, and starts another one, which gets its work from Flink."""
        os.killpg(self.started[0].pid, signal.SIGKILL)
        self._running.close()
        self.__enter__()


def get(url: str) -> Any:
    """Asks a Flink cluster."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def _configuration(rest: str) -> str:
    host, _, port = rest.partition(":")
    values = {
        "jobmanager.rpc.address": host,
        "jobmanager.rpc.port": _free_port(),
        "jobmanager.memory.process.size": "1g",
        "rest.address": host,
        "rest.bind-address": host,
        "rest.port": port,
        "taskmanager.host": host,
        "taskmanager.rpc.port": 0,
        "taskmanager.numberOfTaskSlots": SLOTS,
        "taskmanager.cpu.cores": SLOTS,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.heap.size": "512m",
        "taskmanager.memory.task.off-heap.size": "0m",
        "taskmanager.memory.managed.size": "128m",
        # The pipeline's graph has some forty vertices, each with buffers of its own.
        "taskmanager.memory.network.min": "256m",
        "taskmanager.memory.network.max": "256m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        # A batch job that loses a task manager begins again, on the next one.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 10,
        "restart-strategy.fixed-delay.delay": "2 s",
        # The jars of a job are those that the cluster runs from.
        "classloader.resolve-order": "parent-first",
    }
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def _boot_script(folder: Path, boot: Path) -> Path:
    """Writes the script that starts a task manager's worker: this Python and Foveate in another folder."""
    script = folder / "boot.sh"
    script.write_text(
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(folder))}\n"
        f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n"
        f"PYTHONPATH={shlex.quote(str(fetch.ROOT))}\n"
        "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1\n"
        "export PATH PYTHONPATH RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT\n"
        f'exec {shlex.quote(str(boot))} --semi_persist_dir={shlex.quote(str(folder / "staged"))} "$@"\n'
    )
    script.chmod(0o755)
    return script


@contextlib.contextmanager
def _job_server(folder: Path, master: str) -> Iterator[str]:
    """Beam's job server for a Flink: its address."""
    port = _free_port()
    jars, _ = fetch.flink()
    ports = ("--job-port", str(port), "--artifact-port", "0", "--expansion-port", "-1")
    places = ("--artifacts-dir", str(folder / "artifacts"), "--flink-master", master)
    with _java(folder, jars, _JOB_SERVER, *ports, *places) as server:
        _wait(lambda: _listens(port), server)
        yield f"localhost:{port}"


@contextlib.contextmanager
def _java(
    folder: Path, jars: Path, main: str, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A Java program, and its log; stopped at the end."""
    log = folder / f"{main.rpartition('.')[2]}.log"
    with log.open("wb") as output:
        command = [*_JAVA, "-cp", f"{jars}/*", main, *arguments]
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=_environment(), start_new_session=True
        )
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> dict[str, str]:
    """This process's variables, without those that would change Flink's configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLINK_")}


def _wait(ready: Any, *started: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Waits until an engine is ready, but not for one that has ended."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # it does not listen yet
            if ready():
                return
        for process, log in started:
            if process.poll() is not None:
                raise AssertionError(f"it ended while it started: {log.read_text()[-2000:]}")
        time.sleep(0.3)
    logs = "\n".join(log.read_text()[-2000:] for _, log in started)
    raise AssertionError(f"it was not ready after {_START_SECONDS} s: {logs}")


def _listens(port: int) -> bool:
    with socket.create_connection(("localhost", port), timeout=1):
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
    return port
