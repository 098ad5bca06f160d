"""DBG at the published size (100 cells of 400 features): a training step and inference, in turns with PyTorch.

    cargo build --release -p ocelli -p ocelli-video --example time_dbg
    python dbg.py target/release/examples/time_dbg [BATCH] [ROUNDS]

The peer is the released network written with PyTorch's own operations: samples of all proposals by a product with the
fixed sampling matrix, then the three-dimensional convolution over them, heads on whole maps, Adam with the decays of the
parts. Both programs compute the same losses of a batch of the same size with dropout. Each runs in a process of its own on
two threads; rounds alternate, seconds are the least of them and processor time and peak memory those of the process.
"""

import pathlib
import sys

from turns import THREADS, in_turns, serve, soft_nms

CELLS, FEATURES = 100, 400
SAMPLES = (8, 16, 8)


def peer(what, batch, length=CELLS):
    """The released network's training step or inference of a batch, as a function."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as f

    torch.set_num_threads(int(THREADS))

    def sampling():
        """The matrix [cells, samples * cells * cells]: weights of cells in the samples of all proposals."""
        weights = np.zeros((length, sum(SAMPLES), length, length), dtype=np.float32)
        for i in range(length):
            for j in range(i, length):
                reach = (j - i + 1) / 5
                points = np.concatenate([
                    np.linspace(i - reach, i + reach, SAMPLES[0]),
                    np.linspace(i, j, SAMPLES[1]),
                    np.linspace(j - reach, j + reach, SAMPLES[2]),
                ])
                for n, point in enumerate(points):
                    left = int(np.floor(point))
                    for cell, weight in ((left, left + 1 - point), (left + 1, point - left)):
                        weights[min(max(cell, 0), length - 1), n, i, j] += weight
        return torch.from_numpy(weights.reshape(length, -1))

    matrix = sampling()

    def sample(x):
        b, c, _ = x.shape
        return (x.reshape(b * c, length) @ matrix).reshape(b, c, sum(SAMPLES), length, length)

    def head(inputs, outputs):
        return nn.Sequential(
            nn.Conv2d(inputs, 256, 1), nn.ReLU(), nn.Dropout(0.3),
            nn.Conv2d(256, 256, 1), nn.ReLU(), nn.Dropout(0.3),
            nn.Conv2d(256, outputs, 1), nn.Sigmoid())

    def stream():
        return nn.Sequential(
            nn.Conv1d(FEATURES // 2, 256, 3, padding=1), nn.ReLU(), nn.Conv1d(256, 128, 3, padding=1), nn.ReLU())

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.ModuleList([stream(), stream()])
            self.action = nn.ModuleList([nn.Conv1d(128, 1, 1) for _ in range(3)])
            self.conv3d = nn.Conv3d(128, 512, (sum(SAMPLES), 1, 1))
            self.completeness, self.boundaries = head(sum(SAMPLES), 1), head(512, 2)

        def forward(self, x):
            half = FEATURES // 2
            first, second = self.base[0](x[:, :half]), self.base[1](x[:, half:])
            both = first + second
            parts = zip(self.action, (first, second, both))
            action = [torch.sigmoid(layer(part)) for layer, part in parts]
            iou = self.completeness(sample(sum(action) / 3)[:, 0])
            edges = self.boundaries(self.conv3d(sample(both))[:, :, 0])
            return action, iou[:, 0], edges[:, 0], edges[:, 1]

    def log_loss(truth, found):
        positive = (truth > 0.5).float()
        ratio = truth.numel() / positive.sum().clamp(min=1)
        weights = 0.5 * ratio * positive, 0.5 * ratio / (ratio - 1) * (1 - positive)
        return -(weights[0] * (found + 1e-6).log() + weights[1] * (1 - found + 1e-6).log()).mean()

    valid = torch.ones(length, length).triu().bool()

    def iou_loss(truth, found):
        high, low = truth > 0.6, (truth <= 0.2) & valid
        middle = (truth > 0.2) & ~high
        share = high.sum() / middle.sum(), 2 * high.sum() / low.sum()
        kept = [band & (torch.rand_like(truth) > 1 - part.clamp(max=1)) for band, part in zip((middle, low), share)]
        weight = (high | kept[0] | kept[1]).float()
        return (f.smooth_l1_loss(found, truth, reduction="none") * weight).sum() / weight.sum().clamp(min=1)

    def targets():
        """Three actions, the same for every video of the batch."""
        cells = np.arange(length) / length
        actions = ((0.1, 0.3), (0.42, 0.47), (0.6, 0.95))

        def cover(regions):
            ends = [(np.minimum(cells + 1 / length, e) - np.maximum(cells, s)).clip(0) * length for s, e in regions]
            return np.max(ends, axis=0)

        def near(k):
            return [(a[k] - 1 / length, a[k] + 1 / length) for a in actions]

        start, end = cells[:, None], cells[None] + 1 / length
        overlaps = []
        for s, e in actions:
            inner = (np.minimum(end, e) - np.maximum(start, s)).clip(0)
            overlaps.append(inner / ((end - start) + (e - s) - inner).clip(1e-9))
        iou = np.triu(np.max(overlaps, axis=0))
        arrays = cover(actions), cover(near(0)), cover(near(1)), iou
        return [torch.tensor(a, dtype=torch.float32).expand(batch, *a.shape) for a in arrays]

    network = Network()
    groups = [(network.base, 2e-3), (network.action, 2e-3), (network.conv3d, 2e-4), (network.completeness, 2e-5),
              (network.boundaries, 2e-5)]
    split = []
    for part, decay in groups:
        split.append({"params": [p for n, p in part.named_parameters() if not n.endswith("bias")], "weight_decay": decay})
        split.append({"params": [p for n, p in part.named_parameters() if n.endswith("bias")], "weight_decay": 0})
    adam = torch.optim.Adam(split, lr=1e-3)
    x = torch.rand(batch, FEATURES, length) * 2 - 1
    action, start, end, iou = targets()

    def step():
        found, completeness, starts, ends = network(x)
        loss = 2 * sum(log_loss(action, a[:, 0]) for a in found) / 3
        loss = loss + 10 * sum(iou_loss(iou[b], completeness[b]) for b in range(batch)) / batch
        rows = start[:, :, None].expand(batch, length, length)
        columns = end[:, None].expand(batch, length, length)
        loss = loss + log_loss(rows[:, valid], starts[:, valid]) + log_loss(columns[:, valid], ends[:, valid])
        adam.zero_grad()
        loss.backward()
        adam.step()

    def infer():
        with torch.no_grad():
            for b in range(batch):
                _, completeness, starts, ends = network(x[b:b + 1])
                propose(completeness[0].numpy(), starts[0].numpy(), ends[0].numpy())

    def propose(completeness, starts, ends):
        """Candidates and Soft-NMS."""
        upper = np.triu(np.ones((length, length)))
        first = (starts * upper).sum(1) / np.arange(length, 0, -1)
        last = (ends * upper).sum(0) / np.arange(1, length + 1)
        i, j = np.nonzero(upper)
        left, right, score = i / length, (j + 1) / length, completeness[i, j] * first[i] * last[j]
        return soft_nms(left, right, score, 100, (0.65, 0.25), 0.75)

    network.train(what == "step")
    return step if what == "step" else infer


if __name__ == "__main__":
    if sys.argv[1] == "peer":
        run = peer(sys.argv[2], int(sys.argv[3]))
        serve(lambda line: run)
    else:
        program = str(pathlib.Path(sys.argv[1]).resolve())
        batches = [int(sys.argv[2])] if len(sys.argv) > 2 else [1, 16]
        count = int(sys.argv[3]) if len(sys.argv) > 3 else 3
        for size in batches:
            for kind in ("step", "infer"):
                commands = {
                    "ocelli": [program, kind, str(size)],
                    "pytorch": [sys.executable, __file__, "peer", kind, str(size)],
                }
                in_turns(commands, f"{kind} of {size}", count)
