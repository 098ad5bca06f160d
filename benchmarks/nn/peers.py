"""The cases of `ocelli bench` by others: serves runs as `ocelli bench … --serve` does.

    python peers.py ENGINE ops|models|train --threads 2 [--folder FOLDER]

ENGINE is `eager` or `compile` (PyTorch), `onnxruntime` (f32), or `openvino-bf16`. Each line `TIMES CASE` of standard input
is answered by seconds of clock and of processor, or by an empty line where the engine does not have the case. At the end
come the peak of memory and the memory before the first case, in MiB.

ONNX Runtime and OpenVINO read what PyTorch has exported into FOLDER in a process of its own, so that it is not in their
memory. It needs torch, torchvision, onnx, onnxscript, onnxruntime, openvino, numpy:

    python -m venv peers && peers/bin/pip install torch torchvision onnx onnxscript onnxruntime openvino
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from cases import Case

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from served import THREADS, serve  # noqa: E402


class Eager:
    """PyTorch as it comes."""

    def __init__(self, group, options):
        import torch

        import networks

        torch.manual_seed(0)
        torch.set_num_threads(options.threads)
        self.torch, self.networks, self.group = torch, networks, group

    def compiled(self, function):
        return function

    def make(self, case):
        if self.group == "train":
            return self.networks.training(case, self.compiled)
        found = (self.networks.model if self.group == "models" else self.networks.operation)(case)
        if found is None:
            return None
        function, inputs = found
        function = self.compiled(function)
        if case.gradients:
            return lambda: self.walk_back(function(*inputs), inputs)

        def run():
            with self.torch.inference_mode():
                function(*inputs)

        return run

    def walk_back(self, y, inputs):
        for x in inputs:
            x.grad = None
        y.backward(self.torch.ones_like(y))


class Compiled(Eager):
    """PyTorch with its compiler."""

    def compiled(self, function):
        return self.torch.compile(function)


class Exported:
    """An engine that reads ONNX files."""

    def __init__(self, group, options):
        self.group, self.options = group, options
        self.start()

    def make(self, case):
        """Exports the case, and opens it with inputs by name."""
        if case.gradients or self.group == "train":
            return None
        file = self.options.folder / f"{self.options.line.replace(' ', '_')}.onnx"
        if not file.exists():
            command = [sys.executable, __file__, "export", self.group, "--file", file, "--case", self.options.line]
            if subprocess.run(command, stdout=sys.stderr).returncode:
                return None
        return self.open(file)


class OnnxRuntime(Exported):
    def start(self):
        import numpy
        import onnxruntime

        self.numpy, self.onnxruntime = numpy, onnxruntime

    def open(self, file):
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.options.threads
        session = self.onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        random = self.numpy.random.default_rng(0)
        inputs = {x.name: random.random(x.shape, dtype=self.numpy.float32) * 2 - 1 for x in session.get_inputs()}
        return lambda: session.run(None, inputs)


class OpenVino(Exported):
    def start(self):
        import numpy
        import openvino

        self.numpy, self.core = numpy, openvino.Core()

    def open(self, file):
        settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": self.options.threads}
        compiled = self.core.compile_model(file, "CPU", settings)
        random = self.numpy.random.default_rng(0)
        inputs = [random.random(list(x.shape), dtype=self.numpy.float32) * 2 - 1 for x in compiled.inputs]
        request = compiled.create_infer_request()
        return lambda: request.infer(inputs)


ENGINES = {"eager": Eager, "compile": Compiled, "onnxruntime": OnnxRuntime, "openvino-bf16": OpenVino}


def export(group, case, file):
    """Writes a case as an ONNX file."""
    import torch

    import networks

    found = (networks.model if group == "models" else networks.operation)(case)
    if found is None:
        raise SystemExit(f"no case {case}")
    function, inputs = found
    module = function if isinstance(function, torch.nn.Module) else networks.Operation(function)
    with torch.no_grad():
        torch.onnx.export(module.eval(), tuple(inputs), file, dynamo=True, external_data=False)


def answer(engine, options):
    """What serves: makes each case once, keeps the last."""
    kept = {}

    def run(line):
        times, name = line.split(" ", 1)
        if name not in kept:
            kept.clear()
            options.line = name
            kept[name] = engine.make(Case.parse(name))
        if kept[name] is None:
            raise SystemExit(0)
        return lambda: [kept[name]() for _ in range(int(times))]

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=[*ENGINES, "export"])
    parser.add_argument("group", choices=["ops", "models", "train"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=pathlib.Path, help="where exported cases are kept")
    parser.add_argument("--case", help="what is exported")
    parser.add_argument("--file", type=pathlib.Path, help="where it goes")
    options = parser.parse_args()
    if options.engine == "export":
        export(options.group, Case.parse(options.case), options.file)
        return
    os.environ.update({key: str(options.threads) for key in THREADS})
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = options.folder or pathlib.Path(temporary)
        engine = ENGINES[options.engine](options.group, options)
        serve(answer(engine, options))


if __name__ == "__main__":
    main()
