"""Two programs that run in turns: one of ours and its peer, each in a process of its own on two threads."""

import os
import resource
import subprocess
import sys
import time

import numpy as np

THREADS = "2"


def serve(run):
    """Answers every line of standard input with the seconds of clock and processor of a run; ends with peak memory in MiB."""
    for _ in sys.stdin:
        began = time.perf_counter(), time.process_time()
        run()
        print(f"{time.perf_counter() - began[0]:.6f} {time.process_time() - began[1]:.6f}", flush=True)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}", flush=True)


def in_turns(commands, label, rounds):
    """Lets the programs run in turns; prints their least seconds of clock and processor, and peak memory."""
    threads = {key: THREADS for key in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": {**os.environ, **threads}}
    running = {name: subprocess.Popen(command, **pipes) for name, command in commands.items()}
    least = {}
    for turn in range(rounds + 1):
        for name, process in running.items():
            process.stdin.write("\n")
            process.stdin.flush()
            spent = tuple(map(float, process.stdout.readline().split()))
            # The first round warms up.
            least[name] = tuple(map(min, spent, least.get(name, spent))) if turn > 1 else spent
    for name, process in running.items():
        least[name] += (float(process.communicate()[0].split()[-1]),)
    for name, numbers in least.items():
        print(f"{label}: {name:8} {numbers[0]:8.3f} s {numbers[1]:8.3f} s of processor {numbers[2]:8.0f} MiB")
    own, peer = least.values()
    ratios = [a / b for a, b in zip(own, peer)]
    print(f"{label}: time x {ratios[0]:.2f}, processor x {ratios[1]:.2f}, memory x {ratios[2]:.2f}", flush=True)


def soft_nms(left, right, score, most, threshold, sigma):
    """The first `most` segments by Soft-NMS, vectorised with NumPy; one segment is always left over.

    Overlaps above `threshold[0] + threshold[1] * length` of the one that is taken lower a score.
    """
    kept = []
    while len(score) > 1 and len(kept) < most:
        best = int(score.argmax())
        kept.append((left[best], right[best], score[best]))
        rest = np.arange(len(score)) != best
        inner = (np.minimum(right, right[best]) - np.maximum(left, left[best])).clip(0)
        overlap = inner / (right - left + right[best] - left[best] - inner)
        decayed = score * np.exp(-overlap * overlap / sigma)
        score = np.where(overlap > threshold[0] + threshold[1] * (right[best] - left[best]), decayed, score)[rest]
        left, right = left[rest], right[rest]
    return kept
