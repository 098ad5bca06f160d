"""Two programs that run in turns: one of ours and its peer, each in a process of its own on two threads."""

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from served import Served, serve  # noqa: E402, F401

THREADS = "2"


def in_turns(commands, label, rounds):
    """Lets the programs run in turns; prints their least seconds of clock and processor, and peak memory."""
    running = {name: Served(command, THREADS) for name, command in commands.items()}
    least = {}
    for turn in range(rounds + 1):
        for name, program in running.items():
            spent = program.ask()
            # The first round warms up.
            least[name] = list(map(min, spent, least.get(name, spent))) if turn > 1 else spent
    for name, program in running.items():
        least[name].append(program.close()[0])
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
