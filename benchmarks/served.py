"""Programs that wait in a process of their own and run what they are told, a line at a time."""

import os
import subprocess
import sys
import time

THREADS = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def memory(key):
    """What the system knows of this process under `VmHWM` (peak) or `VmRSS` (now), in MiB.

    Unlike the peak that `getrusage` tells, it does not count what the parent had.
    """
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024


def serve(run):
    """Calls `run` with every line of standard input, and answers with its seconds of clock and of processor.

    What `run` returns, if anything, is called by the clock in its place: what comes before is preparation. At the end of
    the input, answers with the peak of memory and with what there was before the first line, in MiB.
    """
    before = memory("VmRSS")
    for line in sys.stdin:
        began = time.perf_counter(), time.process_time()
        prepared = run(line.rstrip("\n"))
        if prepared is not None:
            began = time.perf_counter(), time.process_time()
            prepared()
        print(f"{time.perf_counter() - began[0]:.9f} {time.process_time() - began[1]:.9f}", flush=True)
    print(f"{memory('VmHWM'):.1f} {before:.1f}", flush=True)


class Served:
    """A program that answers every line with numbers, and with some more when the lines end."""

    def __init__(self, command, threads):
        environment = {**os.environ, **{key: str(threads) for key in THREADS}}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, env=environment, **pipes)

    def ask(self, line=""):
        """The numbers of the answer; none when the program has ended instead."""
        try:
            print(line, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return []
        return [float(word) for word in self.process.stdout.readline().split()]

    def close(self):
        """The numbers at the end."""
        output, _ = self.process.communicate()
        return [float(word) for word in output.split()]
