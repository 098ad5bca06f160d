"""The networks and operations of the cases in PyTorch's own words. Imported by processes that need PyTorch alone."""

import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as f

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "video"))


class IrUnit(nn.Module):
    """The residual unit of face recognition: BN, 3x3, PReLU, 3x3, BN."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        if inputs == outputs:
            self.shortcut = nn.MaxPool2d(1, stride)
        else:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return self.residual(x) + self.shortcut(x)


def ir(units, side=112, embedding=512):
    """An IR network, from pictures to embeddings."""
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
    channels = 64
    for width, count in zip((64, 128, 256, 512), units):
        for unit in range(count):
            layers.append(IrUnit(channels, width, 2 if unit == 0 else 1))
            channels = width
    layers += [nn.BatchNorm2d(512), nn.Dropout(0.4), nn.Flatten(), nn.Linear(512 * ((side + 15) // 16) ** 2, embedding),
               nn.BatchNorm1d(embedding, affine=False)]
    return nn.Sequential(*layers)


class VitBlock(nn.Module):
    """A block of CLIP's image tower."""

    def __init__(self, width):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 64, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        y = self.expand(self.ln_2(x))
        return x + self.contract(y * torch.sigmoid(1.702 * y))


class Vit(nn.Module):
    """CLIP's image tower."""

    def __init__(self, side, patch, width, layers, embedding):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.token = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positions = nn.Parameter(torch.randn((side // patch) ** 2 + 1, width) * width**-0.5)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.blocks = nn.Sequential(*[VitBlock(width) for _ in range(layers)])
        self.proj = nn.Parameter(torch.randn(width, embedding) * width**-0.5)

    def forward(self, x):
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], 1, -1), x], 1) + self.positions
        return self.ln_post(self.blocks(self.ln_pre(x))[:, 0]) @ self.proj


def model(case):
    """The network of a case for inference, and its input."""
    import torchvision

    side = 112 if case.kind == "ir101" else 224
    made = {
        "resnet50": torchvision.models.resnet50,
        "mobilenet_v2": torchvision.models.mobilenet_v2,
        "ir101": lambda: ir((3, 13, 30, 3)),
        "vit_b32": lambda: Vit(224, 32, 768, 12, 512),
    }
    if case.kind not in made:
        return None
    return made[case.kind]().eval(), [torch.rand(case["b"], 3, side, side) * 2 - 1]


class ArcFace(nn.Module):
    """The margin head: 512 numbers to the logits of classes, with the angular margin on the true one."""

    def __init__(self, classes):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(512, classes) * 0.01)
        self.margin = torch.tensor(0.5)

    def forward(self, embedding, labels):
        cosines = (f.normalize(embedding) @ f.normalize(self.kernel, dim=0)).clamp(-1, 1)
        true = cosines.gather(1, labels[:, None])
        sines = (1 - true * true).clamp_min(1e-12).sqrt()
        shifted = true * self.margin.cos() - sines * self.margin.sin()
        shifted = torch.where(true > (torch.pi - self.margin).cos(), shifted, true - self.margin.sin() * self.margin)
        return 64 * cosines.scatter(1, labels[:, None], shifted)


class Sequence(nn.Module):
    """A network on sequences, the mean over time, a classifier."""

    def __init__(self, network, width, classes):
        super().__init__()
        self.network, self.classifier = network, nn.Linear(width, classes)

    def forward(self, x):
        x = self.network(x)
        return self.classifier((x[0] if isinstance(x, tuple) else x).mean(1))


def training(case, compiled=None):
    """A step of a case: a function that trains once."""
    if case.kind == "dbg":
        import dbg

        return dbg.peer("step", case["b"], case["t"])
    labels = torch.arange(case["b"]) * 7919 % case["n"]
    head = None
    if case.kind == "resnet18":
        import torchvision

        network = torchvision.models.resnet18(num_classes=case["n"])
        if case["h"] < 64:
            network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    elif case.kind == "ir18_arcface":
        network, head = ir((2, 2, 2, 2), case["h"]), ArcFace(case["n"])
    elif case.kind == "transformer":
        layer = nn.TransformerEncoderLayer(
            case["d"], case["a"], 4 * case["d"], 0.0, "gelu", batch_first=True, norm_first=True)
        encoder = nn.TransformerEncoder(layer, case["l"], enable_nested_tensor=False)
        network = Sequence(encoder, case["d"], case["n"])
    elif case.kind == "bilstm":
        lstm = nn.LSTM(case["d"], case["h"], batch_first=True, bidirectional=True)
        network = Sequence(lstm, 2 * case["h"], case["n"])
    else:
        return None
    shape = (case["t"], case["d"]) if "t" in case.numbers else (3, case["h"], case["h"])
    x = torch.rand(case["b"], *shape) * 2 - 1
    parameters = [*network.parameters(), *(head.parameters() if head else [])]
    sgd = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=5e-4)

    def loss():
        logits = network(x)
        return f.cross_entropy(head(logits, labels) if head else logits, labels)

    loss = compiled(loss) if compiled else loss

    def step():
        sgd.zero_grad()
        loss().backward()
        sgd.step()

    return step


class Operation(nn.Module):
    """A function of tensors as a module, for those who export modules."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def operation(case):
    """The function of a case and its inputs; where gradients are wanted, of these and of what the function holds."""
    if case.kind not in OPERATIONS:
        return None
    function, shapes = OPERATIONS[case.kind](case)
    return function, [(torch.rand(shape) * 2 - 1).requires_grad_(case.gradients) for shape in shapes]


def conv(case, dimensions, function):
    side = {1: "t", 2: "h", 3: "h"}[dimensions]
    places = [case[side]] * dimensions
    if dimensions == 3:
        places[0] = case["d"]
    kernel, groups = [case["k"]] * dimensions, case.get("g", 1)
    stride, padding = case.get("s", 1), case.get("p", case["k"] // 2)
    filters = [case["o"], case["c"] // groups, *kernel]
    shapes = [[case["b"], case["c"], *places], filters] + ([] if dimensions == 2 else [[case["o"]]])
    return lambda x, w, b=None: function(x, w, b, stride, padding, 1, groups), shapes


def conv_transpose(case):
    shapes = [[case["b"], case["c"], case["h"], case["h"]], [case["c"], case["o"], case["k"], case["k"]], [case["o"]]]
    return lambda x, w, b: f.conv_transpose2d(x, w, b, case.get("s", 1), case.get("p", case["k"] // 2)), shapes


def pictures(case):
    return [case["b"], case["c"], case["h"], case["h"]]


def matrices(case):
    batch = [case["b"]] if "b" in case.numbers else []
    return [batch + [case["m"], case["k"]], batch + [case["k"], case["n"]]]


def cross_entropy(case):
    labels = torch.arange(case["r"]) * 7919 % case["c"]
    return lambda x: f.cross_entropy(x, labels), [[case["r"], case["c"]]]


def pool(case, function):
    return lambda x: function(x, case["k"], case["s"], case["k"] // 2), [pictures(case)]


def resize(case, mode):
    align = {"align_corners": False} if mode == "bilinear" else {}
    return lambda x: f.interpolate(x, (case["u"], case["u"]), mode=mode, **align), [pictures(case)]


def norm(case, function, channels):
    return function, [pictures(case), [channels], [channels]]


def batch_norm_relu(x, w, b):
    return f.relu(f.batch_norm(x, None, None, w, b, training=True))


def recurrent(case, layer):
    network = layer(case["d"], case["h"], batch_first=True)
    network.requires_grad_(case.gradients)
    return lambda x: network(x)[0], [[case["b"], case["t"], case["d"]]]


def attention(case):
    shape = [case["b"], case["a"], case["t"], case["d"]]
    return f.scaled_dot_product_attention, [shape] * 3


OPERATIONS = {
    "conv1d": lambda case: conv(case, 1, f.conv1d),
    "conv2d": lambda case: conv(case, 2, f.conv2d),
    "conv3d": lambda case: conv(case, 3, f.conv3d),
    "conv_transpose2d": conv_transpose,
    "matmul": lambda case: (torch.matmul, matrices(case)),
    "linear": lambda case: (f.linear, [[case["r"], case["d"]], [case["o"], case["d"]], [case["o"]]]),
    "softmax": lambda case: (lambda x: f.softmax(x, 1), [[case["r"], case["c"]]]),
    "log_softmax": lambda case: (lambda x: f.log_softmax(x, 1), [[case["r"], case["c"]]]),
    "cross_entropy": cross_entropy,
    "multiply_add_sigmoid": lambda case: (lambda x, y, z: torch.sigmoid(x * y + z), [[case["n"]]] * 3),
    "gelu": lambda case: (f.gelu, [[case["r"], case["d"]]]),
    "layer_norm": lambda case: (
        lambda x, w, b: f.layer_norm(x, (case["d"],), w, b), [[case["r"], case["d"]], [case["d"]], [case["d"]]]),
    "group_norm": lambda case: norm(case, lambda x, w, b: f.group_norm(x, case["g"], w, b), case["c"]),
    "batch_norm_relu": lambda case: norm(case, batch_norm_relu, case["c"]),
    "bilinear": lambda case: resize(case, "bilinear"),
    "nearest": lambda case: resize(case, "nearest"),
    "max_pool": lambda case: pool(case, f.max_pool2d),
    "avg_pool": lambda case: pool(case, f.avg_pool2d),
    "grid_sample": lambda case: (
        lambda x, grid: f.grid_sample(x, grid, align_corners=False),
        [pictures(case), [case["b"], case["h"], case["h"], 2]]),
    "lstm": lambda case: recurrent(case, nn.LSTM),
    "gru": lambda case: recurrent(case, nn.GRU),
    "attention": attention,
}
