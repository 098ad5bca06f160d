"""Times Ocelli's temporal detection beside the algorithm of the official toolkit (`activitynet_detection.py`).

    pip install numpy pandas
    cargo build --release -p ocelli-score --example time_coco
    python benchmarks/score/activitynet.py --ocelli PROGRAM [--rounds 3] [--videos 480] [--detections 40]

PROGRAM is the example that was built (`target/release/examples/time_coco`). Each runs in a process of its own on one core,
in turns, from files to average mAP; printed are the least time of each, on the clock and of the processor, and its peak
memory. The start of Python and its imports do not count in the times, Ocelli's start does.
"""

import argparse
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import in_turns, values  # noqa: E402

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "activitynet_detection.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ocelli", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=480)
    parser.add_argument("--detections", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peer = [sys.executable, PEER]
        subprocess.run([*peer, "make", folder, str(options.videos), str(options.detections)], check=True)
        truth, found = (os.path.join(folder, name) for name in ("truth.json", "found.json"))
        tools = {
            "ocelli": [options.ocelli, "detection-temporal", "activitynet", truth, found],
            "toolkit": [*peer, "score", folder],
        }
        in_turns(tools, options.rounds, lambda run: f"average mAP {run['average_mAP']}")


if __name__ == "__main__":
    main()
