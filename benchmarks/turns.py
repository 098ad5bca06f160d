"""What the comparisons share: tools in processes of their own that take turns."""

import os
import platform
import subprocess
import sys

from served import THREADS

ONE_CORE = {key: "1" for key in THREADS}
TASKSET = "/usr/bin/taskset"


def machine():
    """The machine in words, and how busy it is."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {model}, load {os.getloadavg()[0]:.1f} at the end"


def make_apart(script, folder):
    """Has a script's `make` write its set into a folder.

    In a process of its own: a child's peak memory is never less than its parent's, so who runs the tools draws no sets.
    """
    subprocess.run([sys.executable, script, "make", "--folder", folder], check=True)


def values(output):
    """What a program prints, `KEY VALUE` a line, as a dictionary."""
    return dict(line.split(maxsplit=1) for line in output.splitlines() if not line.startswith("#"))


def turns(tools, rounds, run):
    """Calls `run` for each of `tools`, `rounds` times in turns, so that what is compared is close in time."""
    for _ in range(rounds):
        for tool in tools:
            yield tool, run(tool)


def in_turns(tools, rounds, score, once=()):
    """Runs each command of `tools` `rounds` times in turns; prints the least seconds of clock and processor, and MiB.

    A command prints `seconds` and perhaps `processor`; `score` picks what is shown beside them of what else it prints.
    The memory is the peak of the whole process, of a Python tool with its interpreter and imports. The tool called
    `ocelli` is the measure of the others; those of `once` run in the first round alone.
    """
    core = [TASKSET, "-c", str(min(os.sched_getaffinity(0)))] if os.path.exists(TASKSET) else []
    least = {}

    def run(tool):
        if tool in once and tool in least:
            return None
        process = subprocess.Popen(core + tools[tool], stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE})
        found = values(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{tool} failed")
        return found, usage

    for tool, result in turns(tools, rounds, run):
        if result is None:
            continue
        found, usage = result
        processor = float(found.get("processor", usage.ru_utime + usage.ru_stime))
        spent = (float(found["seconds"]), processor, usage.ru_maxrss / 1024)
        least[tool] = tuple(map(min, spent, least.get(tool, spent)))
        print(f"{tool:14} {shown(spent)}  {score(found)}", flush=True)
    for tool, spent in least.items():
        times = [of_tool / of_ocelli for of_tool, of_ocelli in zip(spent, least["ocelli"])]
        print(f"{tool:14} {shown(spent)}  least; times Ocelli's: {', '.join(f'{n:.1f}' for n in times)}")


def shown(spent):
    return "{:8.3f} s  {:8.3f} s of processor  {:6.0f} MiB".format(*spent)
