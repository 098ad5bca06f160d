"""BSN++ at the published size (100 snippets of 400 features): a training step and inference, in turns with PyTorch.

    cargo build --release -p ocelli -p ocelli-video --example time_bsn
    python bsn_plus_plus.py target/release/examples/time_bsn [BATCH] [ROUNDS]

The peer is the network of the paper with the widths of the public re-implementation, written with PyTorch's own operations:
all proposals are sampled by a product with the fixed sampling matrix, the three-dimensional convolution runs over them, and
attention matrices are whole. Both programs run the network in both directions of time, compute the same losses of a batch of
the same size and take a step of Adam; seconds are the least of alternating rounds. The peer needs some 1.5 GiB a video.
"""

import pathlib
import sys

from turns import THREADS, in_turns, serve, soft_nms

T, FEATURES, BINS, POINTS = 100, 400, 32, 3
BASE, WIDTH, SAMPLED, MAP = 256, 512, 512, 128


def peer(what, batch):
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as f

    torch.set_num_threads(int(THREADS))

    def sampling():
        """Weights of snippets in the bins of all proposals, [T, BINS * T * T]."""
        weights = np.zeros((T, BINS, T, T), dtype=np.float32)
        for s in range(T):
            for e in range(s, T):
                reach = (e - s + 2) / 2
                points = np.linspace(s - reach, e + 1 + reach, BINS * POINTS)
                for k, p in enumerate(points):
                    if -1 < p < 0:
                        p = 0.0
                    left = int(np.floor(p))
                    for snippet, weight in ((left, left + 1 - p), (left + 1, p - left)):
                        if 0 <= snippet < T:
                            weights[snippet, k // POINTS, s, e] += weight / POINTS
        return torch.from_numpy(weights.reshape(T, -1))

    def unit1d(inputs, outputs, groups=1):
        return [nn.Conv1d(inputs, outputs, 3, padding=1, groups=groups), nn.BatchNorm1d(outputs), nn.ReLU()]

    def unit2d(inputs, outputs, kernel):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), nn.ReLU())

    class Boundaries(nn.Module):
        def __init__(self):
            super().__init__()
            shapes = {"00": BASE, "10": WIDTH, "20": WIDTH, "01": 2 * WIDTH, "11": 2 * WIDTH, "02": 3 * WIDTH}
            self.nodes = nn.ModuleDict({k: nn.Sequential(*unit1d(c, WIDTH)) for k, c in shapes.items()})
            self.last = nn.Conv1d(3 * WIDTH, 2, 1)

        def forward(self, x):
            node, cat = self.nodes, lambda *parts: torch.cat(parts, 1)
            down, up = lambda x: f.max_pool1d(x, 2), lambda x: f.interpolate(x, scale_factor=2)
            x00 = node["00"](x)
            x10 = node["10"](down(x00))
            x20 = node["20"](down(x10))
            x01 = node["01"](cat(x00, up(x10)))
            x11 = node["11"](cat(x10, up(x20)))
            x02 = node["02"](cat(x00, x01, up(x11)))
            feature = cat(x00, x01, x02)
            return torch.sigmoid(self.last(feature)), feature

    class Attention(nn.Module):
        def __init__(self, by_position):
            super().__init__()
            self.by_position = by_position
            self.g, self.theta, self.phi = (unit2d(MAP, MAP, 1) for _ in range(3))
            self.out = nn.Sequential(nn.Conv2d(MAP, MAP, 1), nn.BatchNorm2d(MAP))

        def forward(self, x):
            b, c, h, w = x.shape
            pool = (lambda x: f.max_pool2d(x, 2)) if self.by_position else (lambda x: x)
            g, theta, phi = pool(self.g(x)).flatten(2), self.theta(x).flatten(2), pool(self.phi(x)).flatten(2)
            if self.by_position:
                y = (torch.softmax(theta.transpose(1, 2) @ phi, -1) @ g.transpose(1, 2)).transpose(1, 2)
            else:
                y = torch.softmax(theta @ phi.transpose(1, 2), -1) @ g
            return x + self.out(y.reshape(b, c, h, w))

    class Relations(nn.Module):
        def __init__(self):
            super().__init__()
            self.before = nn.ModuleList([unit2d(MAP, MAP, 3) for _ in range(2)])
            self.attention = nn.ModuleList([Attention(True), Attention(False)])
            self.after = nn.ModuleList([unit2d(MAP, MAP, 3) for _ in range(2)])
            self.heads = nn.ModuleList([nn.Conv2d(MAP, 2, 3, padding=1) for _ in range(3)])

        def forward(self, x):
            p, c = (after(a(before(x))) for before, a, after in zip(self.before, self.attention, self.after))
            return [torch.sigmoid(head(y)) for head, y in zip(self.heads, (p, c, p + c))]

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.matrix = sampling()
            self.base = nn.Sequential(*unit1d(FEATURES, BASE, 4), *unit1d(BASE, BASE, 4))
            self.boundaries = Boundaries()
            self.proposal = nn.Sequential(*unit1d(BASE, BASE))
            self.matching = nn.Conv3d(BASE, SAMPLED, (BINS, 1, 1), stride=(BINS, 1, 1))
            self.norm = nn.BatchNorm3d(SAMPLED)
            self.narrow = unit2d(SAMPLED, MAP, 1)
            self.relations = Relations()

        def forward(self, x):
            base = self.base(x)
            probability, feature = self.boundaries(base)
            y = self.proposal(base)
            y = (y.reshape(-1, T) @ self.matrix).reshape(len(x), BASE, BINS, T, T)
            y = torch.relu(self.norm(self.matching(y)))[:, :, 0]
            return probability, feature, self.relations(self.narrow(y))

    def targets():
        """Three actions, the same for every video of the batch."""
        actions = ((0.1, 0.3), (0.42, 0.47), (0.6, 0.95))
        low = (np.arange(T) - 0.5) / T

        def near(k):
            regions = [(a[k] - 1.5 / T, a[k] + 1.5 / T) for a in actions]
            return np.max([(np.minimum(low + 1 / T, e) - np.maximum(low, s)).clip(0) * T for s, e in regions], axis=0)

        start, end = np.arange(T)[:, None] / T, (np.arange(T)[None] + 1) / T
        overlaps = []
        for s, e in actions:
            inner = (np.minimum(end, e) - np.maximum(start, s)).clip(0)
            overlaps.append(inner / ((end - start) + (e - s) - inner).clip(1e-9))
        arrays = near(0), near(1), np.triu(np.max(overlaps, axis=0))
        return [torch.tensor(a, dtype=torch.float32).expand(batch, *a.shape) for a in arrays]

    valid = torch.ones(T, T).triu().bool().expand(batch, T, T)
    length = (torch.arange(T)[None] - torch.arange(T)[:, None] + 1) / T
    ranges = [(length <= 0.3), (length > 0.3) & (length <= 0.7), length > 0.7]

    def log_loss(p, positive, weights):
        positive = positive.float()
        return -(weights[0] * positive * (p + 1e-6).log() + weights[1] * (1 - positive) * (1 - p + 1e-6).log()).mean()

    def boundary_loss(p, target):
        positive = target > 0.5
        n, found = positive.numel(), positive.sum()
        return log_loss(p, positive, (n / (2 * found.clamp(min=1)), n / (2 * (n - found).clamp(min=1))))

    def proposal_loss(maps, iou):
        high, middle, low = iou > 0.7, (iou > 0.3) & (iou <= 0.7), (iou > 0) & (iou <= 0.3) & valid
        share = torch.stack([(high & r).sum() for r in ranges]) / high.sum().clamp(min=1)
        lifted = torch.where((share > 0) & (share <= 0.15), 0.15 * torch.exp(share / 0.15 - 1), share)
        wanted = lifted / lifted.sum()
        weight = sum((w / s if s > 0 else 0) * (high & r).float() for w, s, r in zip(wanted, share, ranges))
        positive = (iou > 0.9)[valid]
        ratio = (positive.numel() / positive.sum().clamp(min=1)).clamp(1.05, 21)
        loss = 0
        for found in maps:
            kept = [b & (torch.rand_like(iou) > 1 - high.sum() / b.sum().clamp(min=1)) for b in (middle, low)]
            w = weight + kept[0].float() + kept[1].float()
            reg = (f.smooth_l1_loss(found[:, 0], iou, reduction="none") * w).sum() / w.sum().clamp(min=1)
            loss = loss + 10 * reg + log_loss(found[:, 1][valid], positive, (0.5 * ratio, 0.5 * ratio / (ratio - 1)))
        return loss

    network = Network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    x = torch.rand(batch, FEATURES, T) * 2 - 1
    start, end, iou = targets()

    def step():
        probability, feature, maps = network(x)
        backward, reversed_feature = network(x.flip(2))[:2]
        loss = boundary_loss(probability[:, 0], start) + boundary_loss(probability[:, 1], end)
        loss = loss + boundary_loss(backward[:, 1].flip(1), start) + boundary_loss(backward[:, 0].flip(1), end)
        loss = loss + f.mse_loss(feature, reversed_feature.flip(2)) + proposal_loss(maps, iou)
        adam.zero_grad()
        loss.backward()
        adam.step()

    def infer():
        with torch.no_grad():
            for b in range(batch):
                one = x[b:b + 1]
                base = network.base(one.flip(2))
                backward = network.boundaries(base)[0][0].flip(1)
                probability, _, maps = network(one)
                mean = sum(maps)[0] / 3
                first = (probability[0, 0] * backward[1]).sqrt()
                last = (probability[0, 1] * backward[0]).sqrt()
                suppress(first.numpy(), last.numpy(), (mean[0] * mean[1]).numpy())

    def suppress(first, last, fit):
        """Candidates and Soft-NMS."""
        i, j = np.nonzero(np.triu(np.ones((T, T - 1))))
        left, right, score = i / T, (j + 1) / T, first[i] * last[j + 1] * fit[i, j]
        return soft_nms(left, right, score, 101, (0.5, 0.4), 0.4)

    network.train(what == "step")
    run = step if what == "step" else infer
    serve(lambda line: run)


if __name__ == "__main__":
    if sys.argv[1] == "peer":
        peer(sys.argv[2], int(sys.argv[3]))
    else:
        program = str(pathlib.Path(sys.argv[1]).resolve())
        size = int(sys.argv[2]) if len(sys.argv) > 2 else 4
        count = int(sys.argv[3]) if len(sys.argv) > 3 else 3
        for kind in ("step", "infer"):
            commands = {
                "ocelli": [program, kind, str(size)],
                "pytorch": [sys.executable, __file__, "peer", kind, str(size)],
            }
            in_turns(commands, f"{kind} of {size}", count)
