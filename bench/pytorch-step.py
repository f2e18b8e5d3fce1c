"""A network's training step in PyTorch eager, for bench/pytorch.ts: reads the network as JSON, then makes as many steps as each line says."""
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

network = json.loads(sys.stdin.readline())
torch.set_num_threads(network["threads"])
torch.manual_seed(1)
T = 4


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict()
        for i, node in enumerate(network["nodes"]):
            op, w = node["op"], node.get("weight")
            if op == "Conv":
                layer = nn.Conv2d(w[1], w[0], w[2], stride=node["stride"], padding=node["pad"], bias=False)
            elif op == "BatchNormalization":
                layer = nn.BatchNorm2d(w[0])
            elif op == "Dropout":
                layer = nn.Dropout(0.5)
            elif op == "Gemm":
                layer = nn.Linear(w[1], w[0])
            else:
                continue
            self.layers[str(i)] = layer

    def forward(self, x):
        values = {"features": x}
        for i, node in enumerate(network["nodes"]):
            op, a = node["op"], [values[name] for name in node["inputs"]]
            if str(i) in self.layers:
                y = self.layers[str(i)](a[0])
            elif op == "Relu":
                y = F.relu(a[0])
            elif op == "Add":
                y = a[0] + a[1]
            elif op == "GlobalAveragePool":
                y = F.adaptive_avg_pool2d(a[0], 1)
            elif op == "Flatten":
                y = torch.flatten(a[0], 1)
            else:
                raise ValueError(op)
            values[node["output"]] = y
        return values["logits"]


model = Network().train()
moving = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
x = torch.randn(network["batch"], *network["dims"])
labels = torch.randint(0, network["classes"], (network["batch"],))
teacher = torch.randn(network["batch"], network["classes"])


def step():
    moving.zero_grad(set_to_none=True)
    logits = model(x)
    soft = F.kl_div(F.log_softmax(logits / T, 1), F.log_softmax(teacher / T, 1), reduction="batchmean", log_target=True)
    loss = 0.5 * F.cross_entropy(logits, labels) + 0.5 * T * T * soft
    loss.backward()
    moving.step()
    loss.item()


blas = next((part for part in torch.__config__.show().split(", ") if "BLAS_INFO" in part), "").split("BLAS_INFO=")[-1]
dnn = next((line.strip(" -") for line in torch.__config__.show().split("\n") if "MKL-DNN" in line), "")
print(json.dumps({"version": torch.__version__, "blas": blas, "dnn": dnn}), flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps(times), flush=True)
