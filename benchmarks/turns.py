"""What the comparisons share: tools in processes of their own, on one core, in turns."""

import os
import subprocess

ONE_CORE = {key: "1" for key in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def turns(tools, rounds, run):
    """Calls `run` for each of `tools`, `rounds` times in turns, so that what is compared is close in time."""
    for _ in range(rounds):
        for tool in tools:
            yield tool, run(tool)


def in_turns(tools, rounds, values, score):
    """Runs each command of `tools` `rounds` times in turns and prints the least seconds of clock and processor.

    `values` reads a command's output into a dictionary with `seconds` and perhaps `processor`; `score` picks what is
    printed beside them. The tool called `ocelli` is the measure of the others.
    """

    def run(tool):
        process = subprocess.Popen(tools[tool], stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_CORE})
        found = values(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{tool} failed")
        return found, usage

    least = {}
    for tool, (found, usage) in turns(tools, rounds, run):
        processor = float(found.get("processor", usage.ru_utime + usage.ru_stime))
        spent = (float(found["seconds"]), processor)
        least[tool] = tuple(map(min, spent, least.get(tool, spent)))
        print(f"{tool:14} {spent[0]:8.3f} s  {spent[1]:8.3f} s of processor  {score(found)}", flush=True)
    for tool, (seconds, processor) in least.items():
        times = (seconds / least["ocelli"][0], processor / least["ocelli"][1])
        print(f"{tool:14} least {seconds:8.3f} s (x {times[0]:.1f})  processor {processor:8.3f} s (x {times[1]:.1f})")
