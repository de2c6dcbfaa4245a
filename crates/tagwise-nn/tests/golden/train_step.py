"""Whole training steps of the engine's networks in PyTorch, in float64.

Needs: pip install numpy torch torchvision
Writes train_step.json beside this script. Weights, images and targets follow from a formula
(`uniform` below) that the Rust test repeats, so only results are stored: per step the loss, after
the first pass logits, features and every gradient, after five SGD steps running statistics,
parameters and evaluation logits. Long tensors are stored as a summary: their norm, their dot
product with a formula vector, and a few entries.
"""

import json
import pathlib

import numpy as np
import torch
import torchvision
from torch import nn

MOMENTUM, WEIGHT_DECAY, FEATURE_DECAY, STEPS = 0.9, 5e-4, 1e-2, 5
NUM_ENTRIES = 4


def uniform(seed, count):
    """Numbers in [0, 1): murmur3's finaliser of (seed, position), exact in any language."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(
        seed * 974711 & 0xFFFFFFFF
    )
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2.0**32


def initial(name, shape, seed):
    """Values of one tensor, rounded to float32."""
    u = uniform(seed, int(np.prod(shape)))
    if len(shape) == 4:  # Kaiming's variance, fan in
        values = (u - 0.5) * np.sqrt(24.0 / (shape[1] * shape[2] * shape[3]))
    elif len(shape) == 2:
        values = (u - 0.5) * 2.0 / np.sqrt(shape[1])
    elif name.endswith("running_var"):
        values = 0.5 + u
    elif name.endswith("weight"):
        values = 0.75 + 0.5 * u
    else:
        values = 0.4 * (u - 0.5)
    return torch.from_numpy(values.astype(np.float32).astype(np.float64).reshape(shape))


def summary(tensor):
    flat = tensor.detach().double().flatten().numpy()
    direction = uniform(99, len(flat)) - 0.5
    step = max(1, len(flat) // NUM_ENTRIES)
    return {
        "norm": float(np.linalg.norm(flat)),
        "dot": float(flat @ direction),
        "entries": [float(v) for v in flat[::step][:NUM_ENTRIES]],
    }


class Small(nn.Module):
    def __init__(self, channels, num_classes, dim):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.relu = nn.ReLU()
        block = torchvision.models.resnet.BasicBlock
        self.layer1 = nn.Sequential(block(32, 64, 2, shortcut(32, 64, 2)))
        self.layer2 = nn.Sequential(last_block(block(64, 128, 2, shortcut(64, 128, 2)), dim))
        self.fc = nn.Linear(dim or 128, num_classes)

    def stages(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.layer2(self.layer1(x))


def shortcut(inputs, outputs, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
    )


def last_block(block, dim):
    """Gives the last block of a ResNet `dim` output channels; its inner width stays."""
    if dim is None:
        return block
    inputs, stride = block.conv1.in_channels, block.stride
    last, norm = ("conv3", "bn3") if hasattr(block, "conv3") else ("conv2", "bn2")
    old = getattr(block, last)
    setattr(block, last, nn.Conv2d(old.in_channels, dim, old.kernel_size, 1, old.padding, bias=False))
    setattr(block, norm, nn.BatchNorm2d(dim))
    block.downsample = shortcut(inputs, dim, stride)
    return block


def resnet(make, channels, num_classes, dim):
    model = make(num_classes=num_classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
    model.layer4[-1] = last_block(model.layer4[-1], dim)
    model.fc = nn.Linear(dim or model.fc.in_features, num_classes)

    def stages(x):
        x = model.relu(model.bn1(model.conv1(x)))
        return model.layer4(model.layer3(model.layer2(model.layer1(x))))

    model.stages = stages
    return model


def vgg(make, channels, num_classes, dim):
    model = make(num_classes=num_classes)
    model.features[0] = nn.Conv2d(channels, 64, 3, 1, 1)
    if dim is not None:
        last = max(i for i, m in enumerate(model.features) if isinstance(m, nn.Conv2d))
        model.features[last] = nn.Conv2d(512, dim, 3, 1, 1)
        model.features[last + 1] = nn.BatchNorm2d(dim)
    model.classifier = nn.Linear(dim or 512, num_classes)
    model.stages = lambda x: model.features(x)  # not an alias, which would double the state
    return model


MODELS = {
    "small": Small,
    "resnet18": lambda *a: resnet(torchvision.models.resnet18, *a),
    "resnet50": lambda *a: resnet(torchvision.models.resnet50, *a),
    "vgg16": lambda *a: vgg(torchvision.models.vgg16_bn, *a),
    "vgg19": lambda *a: vgg(torchvision.models.vgg19_bn, *a),
}


def targets(batch, num_classes):
    """Label sets of one to three classes, normalised rows."""
    rows = torch.zeros(batch, num_classes, dtype=torch.float64)
    for i in range(batch):
        for j in range(1 + i % 3):
            rows[i, (3 * i + 2 * j) % num_classes] = 1.0
    return rows / rows.sum(1, keepdim=True)


class Kinks:
    """Smallest distance of any pre-activation from 0 while it is watching."""

    def __init__(self):
        self.nearest = np.inf

    def __call__(self, _module, inputs):
        self.nearest = min(self.nearest, inputs[0].detach().abs().min().item())


def run(case, input_seed):
    torch.manual_seed(0)
    (height, width, channels), batch, k = case["input"], case["batch"], case["num_classes"]
    model = MODELS[case["architecture"]](channels, k, case["feature_dim"]).double()
    state = model.state_dict()
    names = sorted(n for n in state if not n.endswith("num_batches_tracked"))
    for seed, name in enumerate(names):
        state[name] = initial(name, tuple(state[name].shape), seed + 1)
    head = "classifier" if case["architecture"].startswith("vgg") else "fc"
    if case["classifier"] == "fixed-etf":
        d = case["feature_dim"]
        etf = np.sqrt(k / (k - 1)) * (np.eye(k, d) - np.pad(np.full((k, k), 1 / k), ((0, 0), (0, d - k))))
        state[f"{head}.weight"] = torch.from_numpy(etf.astype(np.float32).astype(np.float64))
    model.load_state_dict(state)
    if case["classifier"] == "fixed-etf":
        getattr(model, head).weight.requires_grad_(False)
    x = uniform(input_seed, batch * height * width * channels).astype(np.float32).astype(np.float64)
    x = torch.from_numpy(x.reshape(batch, height, width, channels)).permute(0, 3, 1, 2)
    t = targets(batch, k)
    kinks = Kinks()
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_pre_hook(kinks)

    def forward():
        features = model.stages(x).mean((2, 3))
        return features, getattr(model, head)(features)

    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        [p for _, p in trained], lr=case["learning_rate"], momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    model.eval()
    with torch.no_grad():
        initial_logits = forward()[1].flatten().tolist()
    kinks.nearest = np.inf
    model.train()
    result = dict(case, input_seed=input_seed, losses=[], initial_logits=initial_logits)
    for step in range(STEPS):
        optimizer.zero_grad()
        features, logits = forward()
        loss = nn.functional.cross_entropy(logits, t)
        loss = loss + FEATURE_DECAY * features.square().sum() / batch
        loss.backward()
        result["losses"].append(loss.item())
        if step == 0:
            result["nearest_kink"] = kinks.nearest
            result["train_logits"] = logits.flatten().tolist()
            result["train_features"] = summary(features)
            result["gradients"] = {n: summary(p.grad) for n, p in trained}
        optimizer.step()
    model.eval()
    with torch.no_grad():
        features, logits = forward()
    result["eval_logits"] = logits.flatten().tolist()
    result["eval_features"] = summary(features)
    result["state"] = {
        n: summary(v) for n, v in model.state_dict().items() if not n.endswith("num_batches_tracked")
    }
    result["num_trainable"] = sum(p.numel() for _, p in trained)
    return result


def case(
    architecture, shape, batch, num_classes, classifier, feature_dim, learning_rate, margin, tries=6
):
    """The first of a few inputs whose pre-activations all keep `margin` from 0, or the best."""
    best = None
    for input_seed in range(1000, 1000 + tries):
        result = run(
            {
                "architecture": architecture,
                "input": shape,
                "batch": batch,
                "num_classes": num_classes,
                "classifier": classifier,
                "feature_dim": feature_dim,
                "learning_rate": learning_rate,
            },
            input_seed,
        )
        if best is None or result["nearest_kink"] > best["nearest_kink"]:
            best = result
        if best["nearest_kink"] > margin:
            break
    print(architecture, shape, best["input_seed"], best["nearest_kink"], best["losses"])
    return best


def rounded(value):
    """Nine significant digits: more than float32 carries."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def main():
    # Deep networks amplify rounding from step to step: their rate is low. With ten times these of
    # the VGGs the losses of PyTorch's own f32 run leave those below by 4e-3, with these by 1.5e-4.
    cases = [
        case("small", (9, 7, 3), 4, 5, "learned", None, 0.02, 1e-5),
        case("small", (8, 8, 1), 5, 10, "fixed-etf", 10, 0.02, 1e-5),
        case("resnet18", (17, 14, 1), 4, 10, "learned", None, 0.0005, 1e-6, tries=1),
        case("resnet18", (16, 16, 3), 4, 10, "fixed-etf", 10, 0.0005, 1e-6, tries=1),
        case("resnet50", (16, 16, 1), 4, 10, "fixed-etf", 12, 0.0005, 1e-6, tries=1),
        case("vgg16", (32, 32, 3), 4, 10, "learned", None, 0.00005, 3e-7, tries=1),
        case("vgg19", (33, 32, 1), 4, 9, "fixed-etf", 9, 0.00005, 3e-7, tries=1),
    ]
    path = pathlib.Path(__file__).with_suffix(".json")
    settings = {
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "feature_decay": FEATURE_DECAY,
    }
    lines = ",\n".join(json.dumps(rounded(c), separators=(",", ":")) for c in cases)
    path.write_text(f'{{"settings":{json.dumps(settings)},"cases":[\n{lines}\n]}}\n')
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
