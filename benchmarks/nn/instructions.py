"""Instructions that each kernel takes: the gate against regressions on machines too noisy to tell by time.

    cargo build --release -p ocelli
    python instructions.py target/release/ocelli check [--only TEXT] [--tolerance 0.03]
    python instructions.py target/release/ocelli record [--only TEXT]

Valgrind counts what a program on one thread executes for one run of a case and for three; half of the difference is what a
run takes once all is warm. The count hardly depends on the machine: Valgrind tells programs of a processor with AVX2 and
knows no AVX-512, so it is the kernels for AVX2 that are counted, which share all but the innermost loops with the others.
`check` compares with `instructions.json` and ends with an error when a case takes more than the tolerance above it; what
takes less should be recorded. It counts instructions, not time: a kernel may take more of them and be faster, which is a
reason to record anew and to say so.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from served import THREADS  # noqa: E402

RECORD = pathlib.Path(__file__).resolve().parent / "instructions.json"
# Small enough for an interpreter, uneven so that the ends of tiles count too.
CASES = (
    "conv1d+grad b2 c24 o40 t50 k3",
    "conv2d b1 c3 o32 h57 k7 s2",
    "conv2d b1 c32 o40 h19 k3",
    "conv2d b1 c64 o72 h14 k1",
    "conv2d b1 c48 o48 h29 k3 g48",
    "conv2d+grad b2 c32 o40 h14 k3",
    "conv2d+grad b2 c32 o40 h14 k3 s2",
    "conv2d+grad b2 c64 o48 h14 k1",
    "conv2d+grad b1 c48 o48 h29 k3 g48",
    "conv3d+grad b1 c12 o16 d5 h9 k3",
    "conv_transpose2d+grad b1 c24 o16 h9 k4 s2 p1",
    "matmul m100 k130 n90",
    "matmul+grad b6 m33 k64 n35",
    "linear r1 d512 o300",
    "linear+grad r70 d130 o90",
    "softmax+grad r16 c1003",
    "log_softmax+grad r16 c1003",
    "cross_entropy+grad r16 c1003",
    "multiply_add_sigmoid+grad n50003",
    "gelu+grad r20 d1001",
    "layer_norm+grad r50 d300",
    "group_norm+grad b2 c24 g6 h17",
    "batch_norm_relu+grad b2 c24 h17",
    "bilinear+grad b1 c8 h19 u41",
    "nearest+grad b1 c8 h19 u41",
    "max_pool+grad b1 c8 h41 k3 s2",
    "avg_pool+grad b1 c8 h41 k3 s2",
    "grid_sample+grad b1 c8 h23",
    "lstm+grad b4 t5 d40 h48",
    "gru+grad b4 t5 d40 h48",
    "attention+grad b1 a2 t50 d32",
)
# Packed convolutions and linear layers are met in whole networks.
NETWORKS = ("mobilenet_v2 b1",)


def count(ocelli, case, times):
    """Instructions of a program that makes the case and runs it so often."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=exp-bbv", f"--bb-out-file={folder}/bb", f"--pc-out-file={folder}/pc",
                    "--instr-count-only=yes", f"--log-file={folder}/log"]
        group = "models" if case in NETWORKS else "ops"
        command = [*valgrind, ocelli, "bench", group, "--serve", "--threads", "1"]
        environment = {**os.environ, **{key: "1" for key in THREADS}}
        done = subprocess.run(command, input=f"{times} {case}\n", capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SystemExit(f"{case}: {done.stderr.strip()}")
        log = pathlib.Path(folder, "log").read_text()
    return sum(map(int, re.findall(r"Total instructions: (\d+)", log)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ocelli", type=pathlib.Path)
    parser.add_argument("what", choices=["check", "record"])
    parser.add_argument("--only", default="")
    parser.add_argument("--tolerance", type=float, default=0.03)
    options = parser.parse_args()
    ocelli = options.ocelli.resolve()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"cases": {}}
    above = []
    for case in (case for case in CASES + NETWORKS if options.only in case):
        found = (count(ocelli, case, 3) - count(ocelli, case, 1)) // 2
        known = record["cases"].get(case)
        share = f"{found / known - 1:+.1%}" if known else "not recorded"
        print(f"{case:45} {found:12,} {share}", flush=True)
        if options.what == "check" and (known is None or found > known * (1 + options.tolerance)):
            above.append(case)
        record["cases"][case] = found
    if options.what == "record":
        version = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        record["counted_by"] = version
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
    if above:
        raise SystemExit(f"more instructions than recorded: {', '.join(above)}")


if __name__ == "__main__":
    main()
