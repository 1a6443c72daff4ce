"""How many threads OpenMP and BLAS take in a command, set by `jobs` as it is imported: before numpy and torch load them.

Left to themselves they take every core in every process, and threads that share a core wait for each other: a cascade trained on
128 rows took 725 s on two cores, 115 s with one thread. What the caller has set stays.
"""

import math
import os
from pathlib import Path

import psutil

VARIABLE = "OMP_NUM_THREADS"
"""The one that OpenMP, OpenBLAS, MKL, torch and Arrow all read."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container (cgroup v2): microseconds of CPU time a period, or `max`
LOOK = 0.1  # seconds of looking how idle the cores are. The load average would count the command before this one


def limit_threads() -> None:
    """Set VARIABLE for this process and its children, unless it is set; a core is left to everybody else."""
    if not os.environ.get(VARIABLE):
        os.environ[VARIABLE] = str(max(1, math.floor(free_cores()) - 1))


def free_cores() -> float:
    """Cores that this process may use and nobody else does now, hyper-threads of one core counted once."""
    busy = psutil.cpu_percent(LOOK, percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(busy))
    idle: float = sum(1 - busy[core] / 100 for core in allowed if core < len(busy))
    siblings = (psutil.cpu_count() or 1) / (psutil.cpu_count(logical=False) or psutil.cpu_count() or 1)
    return float(min(idle / siblings, quota()))


def quota() -> float:
    """Cores' worth of time that the container may use; infinite where nothing says so."""
    try:
        time, period = QUOTA.read_text().split()
        return math.inf if time == "max" else int(time) / int(period)
    except (OSError, ValueError):
        return math.inf
