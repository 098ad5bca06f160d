"""TEL at full size (2048 and 768 features, 512 within, 4 levels, 8 heads, 18 emotions): a training step and inference, in
turns with PyTorch.

    cargo build --release -p ocelli -p ocelli-video --example time_tel
    python tel.py target/release/examples/time_tel [CLIPS] [ROUNDS]

The peer is the same network in PyTorch's own modules, its attention that of `MultiheadAttention`, with the same losses and
Adam. Clips have 16 segments. Each program runs in a process of its own on two threads; rounds alternate, seconds are the
least of them and processor time and peak memory those of the process.
"""

import pathlib
import sys

from turns import THREADS, in_turns, serve

SEGMENTS, SIZES, DIM, LEVELS, HEADS, CLASSES = 16, (2048, 768), 512, 4, 8, 18


def peer(what, batch):
    """Answers every line of standard input with the seconds of a run."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional as f

    torch.set_num_threads(int(THREADS))

    class Branch(nn.Module):
        """Embedding, dilated contexts, attention among them for each segment, gated mixture, class scores."""

        def __init__(self, size):
            super().__init__()
            self.embed = nn.Linear(size, DIM)
            self.dilated = nn.ModuleList(
                nn.Conv1d(DIM, DIM, 3, padding=2**level, dilation=2**level) for level in range(LEVELS))
            self.pointwise = nn.ModuleList(nn.Conv1d(DIM, DIM, 1) for _ in range(LEVELS))
            self.local = nn.Conv1d(DIM, DIM, 3, padding=1)
            self.attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
            self.norms = nn.ModuleList(nn.LayerNorm(DIM) for _ in range(3))
            self.wide = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.ReLU(), nn.Linear(2 * DIM, DIM))
            self.query, self.key, self.value = (nn.Linear(DIM, DIM) for _ in range(3))
            self.gate = nn.Linear(2 * DIM, DIM)
            self.whole, self.fine = nn.Linear(DIM, CLASSES), nn.Linear(DIM, CLASSES)
            self.drop = nn.Dropout(0.3)

        def forward(self, x, mask):
            clips, segments, _ = x.shape
            x = self.drop(self.embed(x).relu() * mask[..., None])
            h, contexts = x.transpose(1, 2), []
            for dilated, pointwise in zip(self.dilated, self.pointwise):
                h = (h + pointwise(dilated(h).relu())) * mask[:, None]
                contexts.append(h.transpose(1, 2))
            local = self.local((x * mask[..., None]).transpose(1, 2)).relu().transpose(1, 2)
            tokens = torch.stack(contexts, 2).reshape(clips * segments, LEVELS, DIM)
            tokens = self.norms[0](tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0])
            tokens = self.norms[1](tokens + self.wide(tokens)).reshape(clips, segments, LEVELS, DIM)
            weights = (self.query(local)[:, :, None] * self.key(tokens)).sum(-1) / DIM**0.5
            mixed = (weights.softmax(-1)[..., None] * self.value(tokens)).sum(2)
            gate = self.gate(torch.cat([local, mixed], -1)).sigmoid()
            out = self.norms[2](local + gate * mixed) * mask[..., None]
            return self.fine(self.drop(out)), self.whole(self.drop(contexts[-1]))

    branches = nn.ModuleList(Branch(size) for size in SIZES)
    adam = torch.optim.Adam(branches.parameters(), lr=1e-4, weight_decay=1e-4)
    inputs = [torch.rand(batch, SEGMENTS, size) * 2 - 1 for size in SIZES]
    mask = torch.ones(batch, SEGMENTS)
    labels = torch.zeros(batch, CLASSES)
    for clip in range(batch):
        labels[clip, [clip % CLASSES, (clip + 5) % CLASSES, (clip + 11) % CLASSES]] = 1

    def pooled(scores):
        return scores.topk(SEGMENTS // 8, 1).values.mean(1)

    def mil(scores):
        return f.binary_cross_entropy_with_logits(pooled(scores), labels)

    def consensus(seen, said):
        """Both modalities learn what both are sure of."""
        with torch.no_grad():
            ours, theirs = seen.sigmoid(), said.sigmoid()
            shown = labels[:, None].expand_as(seen) > 0
            both, none = (ours >= 0.6) & (theirs >= 0.6) & shown, (ours <= 0.4) & (theirs <= 0.4)
            kept = (both | none | ~shown).float() * mask[..., None]
        total = kept.sum().clamp(min=1)
        each = [f.binary_cross_entropy_with_logits(s, both.float(), reduction="none") for s in (seen, said)]
        return sum((loss * kept).sum() / total for loss in each)

    def mutual(seen, said):
        logs = [s.log_softmax(1) for s in (seen, said)]
        each = [(a.exp().detach() * (a.detach() - b)).sum(1) for a, b in (logs, logs[::-1])]
        return ((each[0] + each[1]) / 2 * labels).sum() / labels.sum()

    def step():
        (seen, seen_whole), (said, said_whole) = (branch(x, mask) for branch, x in zip(branches, inputs))
        loss = mil(seen) + mil(seen_whole) + mil(said) + mil(said_whole) + mil((seen + said) / 2)
        loss = loss + consensus(seen, said) + 0.5 * mutual(seen, said)
        adam.zero_grad()
        loss.backward()
        adam.step()

    def infer():
        with torch.no_grad():
            scores = [branch(x, mask)[0].sigmoid() for branch, x in zip(branches, inputs)]
        fused = (scores[0] + scores[1]) / 2
        whole = pooled(fused).numpy()
        for curves, clip in zip(fused.numpy(), whole):
            for name in np.nonzero(clip >= 0.2)[0]:
                localize(curves[:, name], clip[name])

    def localize(curve, clip):
        """Runs above shares of the peak, scored by their contrast, greedily suppressed."""
        runs = set()
        for share in (0.3, 0.5, 0.7, 0.9):
            above = np.concatenate([[0], (curve >= share * curve.max()).astype(int), [0]])
            edges = np.diff(above)
            runs.update(zip(np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0]))
        scored = []
        for start, end in runs:
            margin = max(1, (end - start) // 4)
            outside = np.concatenate([curve[max(0, start - margin):start], curve[end:end + margin]])
            contrast = curve[start:end].mean() - (outside.mean() if len(outside) else 0)
            scored.append((contrast + clip, start, end))
        kept = []
        for score, start, end in sorted(scored, key=lambda s: (-s[0], s[1], s[2])):
            shared = [(min(end, e) - max(start, s)) / (max(end, e) - min(start, s)) for _, s, e in kept]
            if all(overlap <= 0.5 for overlap in shared):
                kept.append((score, start, end))
        return kept

    branches.train(what == "step")
    serve(step if what == "step" else infer)


if __name__ == "__main__":
    if sys.argv[1] == "peer":
        peer(sys.argv[2], int(sys.argv[3]))
    else:
        program = str(pathlib.Path(sys.argv[1]).resolve())
        clips = int(sys.argv[2]) if len(sys.argv) > 2 else 32
        count = int(sys.argv[3]) if len(sys.argv) > 3 else 5
        for kind in ("step", "infer"):
            commands = {
                "ocelli": [program, kind, str(clips)],
                "pytorch": [sys.executable, __file__, "peer", kind, str(clips)],
            }
            in_turns(commands, f"{kind} of {clips}", count)
