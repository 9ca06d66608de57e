"""A real Slurm with one node for a test session: its daemons run in a temporary folder and end with the session."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "setpriv")
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
# The partition `short` ends jobs after a minute; Slurm checks time limits every 30 seconds. A requeued job waits until
# its credentials expire, two minutes by default.
CONFIGURATION = """
ClusterName=bisum
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=0
ReturnToService=2
MinJobAge=3600
KillWait=5
JobRequeue=1
MaxArraySize=1001
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=65536 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=1 State=UP
"""


class Unavailable(Exception):
    """The reason why no cluster can be started."""


class Cluster:
    """A running Slurm with two CPUs; `env` has the variables for processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the daemons, and wait until the node accepts jobs.

        Raises:
            Unavailable: a program is missing, or a daemon does not start.
        """
        missing = [name for name in (*DAEMONS, *CLIENTS) if not shutil.which(name, path=PATH)]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}")
        self._configure()
        munge = [f"--{name}={self.folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket")]
        munge += [f"--{name}-file={self.folder}/munged.{name}" for name in ("pid", "log", "seed")]
        self._start("munged", "--foreground", "--force", *munge)
        self._wait("munged", lambda: (self.folder / "munge.socket").exists())
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        self._wait("Slurm", lambda: self.run("sinfo", "--noheader", "--format=%T", check=False) == "idle\n")

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run one of Slurm's programs and return its output."""
        env = {**os.environ, **self.env}
        output = subprocess.PIPE if check else subprocess.DEVNULL
        done = subprocess.run(arguments, env=env, stdout=subprocess.PIPE, stderr=output, text=True, timeout=60)
        assert not (check and done.returncode), done.stderr
        return done.stdout

    def states(self) -> dict[str, str]:
        """The state of each job, including ended ones: {"1": "COMPLETED", "2_0": "RUNNING"}."""
        lines = self.run("squeue", "--all", "--states=all", "--array", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def stop(self) -> None:
        """Kill the daemons and their child processes."""
        end = time.monotonic() + 20
        while (pids := self._processes()) and time.monotonic() < end:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        for daemon in self._daemons:
            daemon.wait()
        assert not pids, f"processes of the Slurm of these tests do not end: {pids}"

    def _configure(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        values = {"folder": self.folder, "host": socket.gethostname().partition(".")[0], "ports": _free_ports(2)}
        user = os.getuid()
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(**values, user=user), encoding="utf-8")

    def _start(self, *arguments: str) -> None:
        """Start a daemon that ends with this process, even if it is killed."""
        with (self.folder / f"{arguments[0]}.out").open("wb") as out:
            command = ["setpriv", "--pdeathsig=KILL", *arguments]
            env = {**os.environ, **self.env}
            self._daemons.append(
                subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder)
            )

    def _wait(self, name: str, is_ready) -> None:
        end = time.monotonic() + 30
        while not is_ready():
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in self._daemons):
                printed = "\n".join(path.read_text("utf-8")[-500:] for path in sorted(self.folder.glob("*.out")))
                raise Unavailable(f"{name} does not start:\n{printed}")
            time.sleep(0.1)

    def _processes(self) -> list[int]:
        """The processes with this cluster in their environment, including jobs."""
        mark = f"SLURM_CONF={self.env['SLURM_CONF']}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                pid = int(path.parent.name)
                if pid != os.getpid() and mark in path.read_bytes().split(b"\0"):
                    found.append(pid)
        return found


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A running Slurm; tests that need it are skipped if it cannot start."""
    with tempfile.TemporaryDirectory(prefix="bisum-slurm-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        except Unavailable as error:
            pytest.skip(f"no Slurm: {error}")
        finally:
            cluster.stop()
