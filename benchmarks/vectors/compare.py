"""Compares Ocelli's search with FAISS's and ScaNN's best settings at equal recall@10, in turns.

    python benchmarks/vectors/compare.py DATA SWEEPS --out results.md [--ours 'COMMAND'] [--sets hard100,easy100,…]
        [--targets 0.9,0.95,0.98,0.999] [--runs batch:1,single:1,batch:2] [--rounds 5] [--indexes FOLDER] [--prepare]

DATA holds the sets of `data.py`, SWEEPS the files `sweep-SET.json` of `rivals.py`; their fastest setting that reaches a
target on all queries is what is compared with. Every index is built once, in this very run and on one thread, and then
waits in a process of its own; the tools run in turns, `--rounds` times each. With `--indexes` the rivals' indexes are kept
there with their build times and loaded the next time (`--prepare` does that alone), for sets whose building takes minutes.

COMMAND is started for every target, mode and number of threads, with these words in braces replaced: `base`, `queries`
(.fvecs), `truth` (.ivecs, best first), `measure` (`inner_product` or `squared_l2`), `recall` (the target), `k`, `threads`,
`mode` (`batch`: all queries in a call, `single`: one a call), `timed` (how many of the queries one run is to take),
`index` (a folder of its own, kept with `--indexes`). It prints a line of JSON,

    {"recall": …, "qps": …, "build_s": …, "memory_bytes": …, "chosen": {…}}

with the recall on all queries, and ends; or it prints `ready` after that and, for every line `run` that it reads, a line
{"seconds": …, "queries": …, "processor": …}. The second is fairer to both sides: nothing but the search lies between the
turns. `--by processor` takes processor seconds instead of those on the clock, for runs of one thread on a busy machine.

The rivals' queries one by one go through their bare bindings, and what such a call takes on an index of one vector is
taken off their times.
"""

import argparse
import hashlib
import itertools
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

from data import DataSet
from rivals import K

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from turns import ONE_CORE, machine, turns

RIVALS = {"faiss": "FAISS", "scann": "ScaNN"}
OURS = "ocelli"
# A recall that rounds to the target counts as reaching it.
ROUNDING = 5e-4


class Tool:
    """A command that answers `run` for run, or is started anew for each."""

    def __init__(self, command, by, threads=1):
        self.command, self.by = command, by
        self.environment = {**os.environ, **{key: str(threads) for key in ONE_CORE}}
        self.start()

    def start(self):
        # A file for what engines say while they build: it cannot fill up as a pipe does.
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True, env=self.environment
        )
        self.facts, self.waits, self.fresh = {}, False, True
        for line in self.process.stdout:
            if line.strip() == "ready":
                self.waits = True
                return
            if line.startswith("{"):
                self.facts.update(json.loads(line))
        if self.process.wait() or not self.facts:
            self.fail()

    def fail(self):
        self.said.seek(0)
        raise SystemExit(f"{shlex.join(self.command)} failed:\n{self.said.read()[-2000:]}")

    def run(self, order=""):
        """The answer to one run, with `spent`: seconds a query."""
        if self.waits:
            print(f"run {order}".strip(), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
            if not line:
                self.fail()
            answer = json.loads(line)
            if self.by not in answer:
                raise SystemExit(f"{shlex.join(self.command)}: the answer has no `{self.by}`: {line.strip()}")
            return {**answer, "spent": answer[self.by] / answer["queries"]}
        if not self.fresh:
            self.start()
        self.fresh = False
        return {**self.facts, "spent": 1 / self.facts["qps"]}

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Rivals:
    """The indexes of a set that its sweep names, each built at the first use."""

    def __init__(self, options, data, swept):
        self.indexes, self.by, self.data, self.swept = options.indexes, options.by, data, swept
        self.tools, self.recalls = {}, {}

    def tool(self, row):
        name = json.dumps([row["engine"], row["config"]])
        if name not in self.tools:
            script = pathlib.Path(__file__).with_name("rivals.py")
            command = [
                sys.executable,
                str(script),
                "work",
                str(self.data.folder),
                "--engine",
                row["engine"],
                "--config",
                json.dumps(row["config"]),
            ]
            if self.indexes:
                digest = hashlib.sha256(name.encode()).hexdigest()[:16]
                command += ["--index", str(self.indexes / self.data.name / digest)]
            self.tools[name] = Tool(command, self.by)
            facts = self.tools[name].facts
            print(
                f"  {row['engine']} {row['config']}: build {facts['build_s']:.1f} s{' (earlier)' if facts.get('loaded') else ''}",
                flush=True,
            )
        return self.tools[name]

    def choose(self, engine, target, mode):
        """The fastest index and parameters by the sweep that reach the target on all queries; None when none do."""
        able = [
            (row, point)
            for row in self.swept["indexes"]
            for point in row["final"]
            if row["engine"] == engine and point["recall"] >= target - 0.002
        ]
        for row, point in sorted(able, key=lambda pair: -pair[1][f"{mode}_qps"]):
            tool, key = self.tool(row), json.dumps([row["engine"], row["config"], point["params"]])
            if key not in self.recalls:
                self.recalls[key] = tool.run(order(point["params"], "batch", 1, None))["recall"]
            if self.recalls[key] >= target - ROUNDING:
                return {"tool": tool, "row": row, "point": point, "recall": self.recalls[key]}
        return None

    def stop(self):
        for tool in self.tools.values():
            tool.stop()


def order(params, mode, threads, timed):
    return json.dumps({"params": params, "mode": mode, "threads": threads, "timed": timed})


def without_calls(answer, choice, mode):
    """Queries per second of a rival, less what calling it from Python takes."""
    return 1 / (answer["spent"] - choice["tool"].facts["call_overhead_s"] * (mode == "single"))


def ours(options, data, folder, words):
    words = {
        **words,
        "base": data.base_path,
        "queries": data.queries_path,
        "truth": data.truth_path,
        "measure": data.measure,
        "k": K,
        "index": folder / f"{data.name}-{words['recall']}-{words['mode']}-{words['threads']}",
    }
    command = [part.format(**words) for part in shlex.split(options.ours)]
    return Tool(command, options.by, words["threads"])


def contest(options, data, rivals, folder, target, mode, threads):
    """One target, mode and number of threads: what each tool is and its queries per second in every round."""
    choices = {engine: rivals.choose(engine, target, mode) for engine in RIVALS}
    choices = {engine: choice for engine, choice in choices.items() if choice}
    expected = max((choice["point"][f"{mode}_qps"] for choice in choices.values()), default=1000)
    timed = min(len(data.queries()), max(200, round(options.seconds * expected * threads)))
    tool = (
        ours(options, data, folder, {"recall": target, "mode": mode, "threads": threads, "timed": timed})
        if options.ours
        else None
    )

    def run(name):
        if name == OURS:
            return 1 / tool.run()["spent"]
        choice = choices[name]
        return without_calls(choice["tool"].run(order(choice["point"]["params"], mode, threads, timed)), choice, mode)

    names = [*choices, *([OURS] if tool else [])]
    for name in names:
        run(name)
    speeds = {name: [] for name in names}
    for name, qps in turns(names, options.rounds, run):
        speeds[name].append(qps)
    result = {"set": data.name, "target": target, "mode": mode, "threads": threads, "timed": timed, "qps": speeds, "tools": {}}
    for name, choice in choices.items():
        facts = choice["tool"].facts
        result["tools"][name] = {
            "config": choice["row"]["config"],
            "params": choice["point"]["params"],
            "recall": choice["recall"],
            **facts,
        }
    if tool:
        result["tools"][OURS] = tool.facts
        tool.stop()
    return result


def ratios(result):
    """Ours against the better of the rivals, round by round; nothing without both sides."""
    rival = max(
        (name for name in result["qps"] if name != OURS), key=lambda name: statistics.median(result["qps"][name]), default=None
    )
    if rival is None or OURS not in result["qps"]:
        return []
    return [mine / theirs for mine, theirs in zip(result["qps"][OURS], result["qps"][rival])]


def speed_table(results):
    names = [*RIVALS, OURS]
    lines = [
        "| set | recall@10 | run | FAISS | ScaNN | Ocelli | times the better: median (least to most) |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        cells = []
        for name in names:
            tool = result["tools"].get(name)
            speed = f"{statistics.median(result['qps'][name]):,.0f}/s" if tool else "not reached"
            short = tool and tool["recall"] < result["target"] - ROUNDING
            cells.append(
                f"{speed} ({tool['recall']:.4f}{', too low' if short else ''})" if tool else "" if name == OURS else speed
            )
        against = ratios(result)
        cell = f"{statistics.median(against):.2f} ({min(against):.2f} to {max(against):.2f})" if against else ""
        run = f"{result['mode']}, {result['threads']} thread{'s' * (result['threads'] > 1)}"
        lines.append(f"| {result['set']} | {result['target']} | {run} | {' | '.join(cells)} | {cell} |")
    return lines


def build_table(results):
    """What was built, each once: the rivals' configurations and what ours chose."""
    lines = ["| set | index | searched with | build, s | of processor, s | memory, MiB |", "|---|---|---|---|---|---|"]
    seen = {}
    for result in results:
        for name, tool in result["tools"].items():
            config = tool.get("config") or f"recall {result['target']}"
            params = tool.get("params") or tool.get("chosen", {})
            entry = seen.setdefault((result["set"], name, json.dumps(config)), (tool, []))
            text = " ".join(f"{key} {value}" for key, value in params.items())
            if text not in entry[1]:
                entry[1].append(text)
    for (data, name, config), (tool, params) in seen.items():
        label = RIVALS.get(name, "Ocelli")
        values = json.loads(config)
        values = (
            ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)
            if isinstance(values, dict)
            else values
        )
        times = " | ".join(f"{tool[key]:.2f}" if key in tool else "" for key in ("build_s", "build_processor_s"))
        lines.append(
            f"| {data} | {label}: {values} | {'; '.join(filter(None, params))} | {times} | {tool['memory_bytes'] / 2**20:.0f} |"
        )
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("sweeps", type=pathlib.Path)
    parser.add_argument("--ours")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="Markdown; the numbers of every round beside it as .json")
    parser.add_argument("--sets", default="hard100,easy100,hard128,sift-5k")
    parser.add_argument("--targets", default="0.9,0.95,0.98,0.999")
    parser.add_argument("--runs", default="batch:1,single:1,batch:2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="about how long a run of the faster rival is to be")
    parser.add_argument("--by", choices=["seconds", "processor"], default="seconds")
    parser.add_argument("--indexes", type=pathlib.Path)
    parser.add_argument("--prepare", action="store_true")
    options = parser.parse_args()
    runs = [(mode, int(threads)) for mode, threads in (run.split(":") for run in options.runs.split(","))]
    combinations = list(itertools.product(map(float, options.targets.split(",")), runs))
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.indexes or pathlib.Path(temporary)) / OURS
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.sets.split(","):
            data = DataSet(options.data / name)
            swept = json.loads((options.sweeps / f"sweep-{name}.json").read_text())
            if swept["set"]["sha256"] != data.about["sha256"]:
                raise SystemExit(f"sweep-{name}.json is of other data than {data.folder}; sweep again")
            print(name, flush=True)
            rivals = Rivals(options, data, swept)
            # All building before all timing.
            for engine, (target, (mode, _)) in itertools.product(RIVALS, combinations):
                rivals.choose(engine, target, mode)
            for target, (mode, threads) in [] if options.prepare else combinations:
                results.append(contest(options, data, rivals, folder, target, mode, threads))
                print(speed_table(results)[-1], flush=True)
            rivals.stop()
    if options.prepare:
        return
    versions = ", ".join(f"{package} {version}" for package, version in swept["versions"].items())
    calls = {}
    for name, tool in ((name, tool) for result in results for name, tool in result["tools"].items() if name != OURS):
        calls.setdefault(name, []).append(tool["call_overhead_s"] * 1e6)
    taken = ", ".join(f"{RIVALS[name]} {statistics.median(values):.1f} µs" for name, values in calls.items())
    text = [
        f"{machine()}; {versions}; median of {options.rounds} rounds in turns, by "
        f"{'processor time' if options.by == 'processor' else 'the clock'}. Taken off a rival's single query: {taken}."
    ]
    text += ["", *speed_table(results), "", *build_table(results), ""]
    options.out.write_text("\n".join(text))
    options.out.with_suffix(".json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
