"""Ocelli beside PyTorch and others on the same operations, networks and training steps, in turns.

    cargo build --release -p ocelli
    python compare.py --out FILE.md [--peers eager,compile,onnxruntime,openvino-bf16] [--only TEXT] [--threads 1,2]
        [--rounds 7] [--seconds 0.2] [--folder FOLDER] target/release/ocelli ops|models|train [-- --precision bf16]

What follows `--` is passed on to ocelli, and the options of this script come before its other arguments then.

Every program is a process of its own for every case, so that its peak memory is that of the case; it makes the case, runs it
a few times, and then runs it as often as `--seconds` allow whenever its turn comes: ours, peer, ours, peer. A ratio is our
time over that of the peer in the same turn; given are the median over all turns, and in brackets the least and the greatest.
*Processor* is the sum over all threads and is hardly disturbed by what else the machine does. *Memory* is the peak of
resident memory beyond that before the case was made: programs and their libraries do not count.

The table goes to FILE.md, the numbers of every round to FILE.json.
"""

import argparse
import datetime
import importlib.metadata
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from served import Served  # noqa: E402
from turns import machine, turns  # noqa: E402

PEERS = pathlib.Path(__file__).resolve().parent / "peers.py"
OURS = "ocelli"
NAMES = {"eager": "PyTorch", "compile": "torch.compile", "onnxruntime": "ONNX Runtime", "openvino-bf16": "OpenVINO bf16"}
PACKAGES = {"eager": "torch", "compile": "torch", "onnxruntime": "onnxruntime", "openvino-bf16": "openvino"}
# Threads that wait for more work by spinning do so a while after a turn.
REST = 0.02


def contest(options, case, threads):
    """Times of all turns and memory of each program that has the case."""
    commands = {OURS: [options.ocelli, "bench", options.group, "--serve", "--threads", threads, *options.more]}
    for peer in options.peers:
        command = [sys.executable, PEERS, peer, options.group, "--threads", threads]
        commands[peer] = command + ["--folder", options.folder]
    running = {name: Served(command, threads) for name, command in commands.items()}
    once = {}
    for name in list(running):
        # The first run makes the case, and some engines measure and compile in the second.
        answers = [running[name].ask(f"1 {case}") for _ in range(3)]
        if all(answers):
            once[name] = min(clock for clock, _ in answers[1:])
        else:
            running.pop(name).close()
    if OURS not in running:
        raise SystemExit(f"ocelli does not run `{case}`")
    # As often for all, so that the numbers compare; the slowest decides, within reason.
    times = max(1, min(round(options.seconds / min(once.values())), round(5 * options.seconds / max(once.values()))))

    def run(name):
        time.sleep(REST)
        return [value / times for value in running[name].ask(f"{times} {case}")]

    rounds = {name: [] for name in running}
    for name, spent in turns(list(running), options.rounds, run):
        rounds[name].append(spent)
    memory = {name: program.close() for name, program in running.items()}
    return {"case": case, "threads": threads, "times": times, "rounds": rounds, "memory": memory}


def least(result, name, of):
    return min(spent[of] for spent in result["rounds"][name])


def ratios(result, peer, of):
    """Median, least and greatest over the turns of our time over the peer's."""
    pairs = zip(result["rounds"][OURS], result["rounds"][peer])
    found = sorted(own[of] / other[of] for own, other in pairs)
    return statistics.median(found), found[0], found[-1]


def growth(result, name):
    peak, before = result["memory"][name]
    return peak - before


def shown(result, peer):
    """The cells of a row beside a peer."""
    cells = [f"{least(result, peer, of) * 1e3:.3g}" for of in (0, 1)]
    cells += ["{:.2f} ({:.2f}–{:.2f})".format(*ratios(result, peer, of)) for of in (0, 1)]
    own, other = growth(result, OURS), growth(result, peer)
    return cells + [f"{own:.0f} / {other:.0f} = {own / max(other, 1):.2f}"]


def tables(results, peers):
    """A table a peer and number of threads."""
    for threads in sorted({result["threads"] for result in results}, reverse=True):
        for peer in peers:
            rows = [r for r in results if r["threads"] == threads and peer in r["rounds"]]
            if not rows:
                continue
            name = NAMES[peer]
            yield f"**{name}, {threads} thread{'s' if threads > 1 else ''}.**"
            yield ""
            yield (f"| case | Ocelli ms | processor | {name} ms | processor | ratio of clock | of processor "
                   "| memory MiB |")
            yield "|---|---|---|---|---|---|---|---|"
            for result in rows:
                own = [f"{least(result, OURS, of) * 1e3:.3g}" for of in (0, 1)]
                yield "| " + " | ".join([result["case"], *own, *shown(result, peer)]) + " |"
            for of, what in ((0, "clock"), (1, "processor")):
                above = sum(ratios(result, peer, of)[0] > 1 for result in rows)
                middle = statistics.geometric_mean([ratios(result, peer, of)[0] for result in rows])
                yield f"\nBy {what}: {above} of {len(rows)} above 1, geometric mean {middle:.2f}."
            yield ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ocelli", type=pathlib.Path)
    parser.add_argument("group", choices=["ops", "models", "train"])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--peers", default="eager")
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", default="2,1")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--folder", type=pathlib.Path, help="where exported cases are kept")
    parser.add_argument("more", nargs="*", help="further options of ocelli, after --")
    options = parser.parse_args()
    options.ocelli = options.ocelli.resolve()
    options.peers = options.peers.split(",")
    cases = subprocess.run([options.ocelli, "bench", options.group, "--list"], capture_output=True, text=True, check=True)
    cases = [case for case in cases.stdout.splitlines() if options.only in case]
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = options.folder or pathlib.Path(temporary)
        for threads in map(int, options.threads.split(",")):
            for case in cases:
                result = contest(options, case, threads)
                results.append(result)
                line = [f"{NAMES[peer]} " + ", ".join(shown(result, peer)) for peer in options.peers if peer in result["rounds"]]
                print(f"{threads} {case}: {least(result, OURS, 0) * 1e3:.3g} ms; {'; '.join(line)}", flush=True)
    versions = {package: importlib.metadata.version(package) for package in (PACKAGES[peer] for peer in options.peers)}
    said = ", ".join(f"{package} {version}" for package, version in versions.items())
    head = f"{machine()}, {datetime.date.today()}; {said}; least of {options.rounds} turns, ratios as in `compare.py`."
    options.out.write_text("\n".join([head, "", *tables(results, options.peers)]))
    options.out.with_suffix(".json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
