#!/usr/bin/env python3
"""Times the variants of the library beside the same recurrence in eager PyTorch, trained.

    PYTHONPATH=python LATHE_LIBRARY=build/release/lib/liblathe.so
        python bench/eager.py [VARIANT ...] [--device cuda] [--json bench/results/eager.json]

needs torch, and the program `lathe` for the plans. Eager PyTorch is what a researcher has before
there is a kernel: the plan, with everything that no state takes part in computed for all tokens at
once, and a loop over the tokens for the rest, in fp32, under autograd. Both give the gradients of
every input and param; that they agree is checked. Milliseconds of forward + backward.
"""

import argparse
import datetime
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

import lathe
import lathe.torch

MAPS = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "negate": torch.neg,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "abs": torch.abs,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "logsigmoid": F.logsigmoid,
    "softplus": F.softplus,
    "relu": F.relu,
    "silu": F.silu,
    "elu": F.elu,
    "sin": torch.sin,
    "cos": torch.cos,
}


class Eager:
    """A plan as eager PyTorch. Values are [B, T, H, dims], those of one token [B, H, dims]."""

    def __init__(self, plan, sizes, device):
        self.operands, self.recurrences = plan["operands"], plan["recurrences"]
        self.nodes, self.sizes, self.device = plan["nodes"], sizes, device
        self.stateful = []
        for node in self.nodes:
            self.stateful.append(
                node["kind"] in ("state", "affine")
                or any(self.stateful[arg] for arg in node.get("args", ()))
            )
        self.matrix = [len(node["dims"]) > 1 for node in self.nodes]

    def aligned(self, node, dims, value):
        """The value with an axis for each of `dims`."""
        own = self.nodes[node]["dims"]
        lead = value.dim() - len(own)
        shape = list(value.shape[:lead])
        taken = iter(value.shape[lead:])
        shape += [next(taken) if dim in own else 1 for dim in dims]
        return value.view(shape) if value.is_contiguous() else value.reshape(shape)

    def apply(self, index, value):
        """The node, whose arguments `value` gives."""
        node = self.nodes[index]
        kind, args = node["kind"], node.get("args", ())
        if kind == "map":
            return MAPS[node["op"]](
                *(self.aligned(arg, node["dims"], value(arg)) for arg in args)
            )
        if kind == "override":
            return value(args[0])
        own = self.nodes[args[0]]["dims"]
        if kind == "contract":
            union = list(own) + [dim for dim in self.nodes[args[1]]["dims"] if dim not in own]
            left, right = value(args[0]), value(args[1])
            if len(own) == 1 and self.matrix[args[1]]:
                rows = self.nodes[args[1]]["dims"].index(node["name"])
                right = right if rows == 0 else right.transpose(-1, -2)
                return (left.unsqueeze(-2) @ right).squeeze(-2)
            product = self.aligned(args[0], union, left) * self.aligned(args[1], union, right)
            return product.sum(union.index(node["name"]) - len(union))
        axis = own.index(node["name"]) - len(own)
        if kind == "sum":
            return value(args[0]).sum(axis)
        if kind == "max":
            return value(args[0]).amax(axis)
        if kind == "rotate":
            first, second = value(args[0]).chunk(2, axis)
            return torch.cat((-second, first), axis)
        if kind == "taylor":
            x = value(args[0])
            squares = (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)
            return torch.cat((torch.ones_like(x[..., :1]), x, squares / math.sqrt(2)), -1)
        raise NotImplementedError(f"eager PyTorch has no {kind}")

    def source(self, index, tensors, tokens):
        """A node without arguments, [B, T, H, dims]."""
        node = self.nodes[index]
        kind = node["kind"]
        if kind == "operand":
            operand = self.operands[node["operand"]]
            tensor = tensors[operand["name"]]
            return tensor if operand["kind"] == "input" else tensor[None, None]
        if kind in ("constant", "dimension"):
            number = node["value"] if kind == "constant" else self.sizes[node["name"]]
            return torch.full((1, 1, 1), float(number), device=self.device)
        length = tokens if kind == "position" else self.sizes[node["name"]]
        shape = (1, tokens, 1) if kind == "position" else (1, 1, 1, length)
        return torch.arange(length, device=self.device, dtype=torch.float32).view(shape)

    def __call__(self, tensors):
        first = tensors[self.operands[0]["name"]]
        batch, tokens, heads = first.shape[:3]
        whole = {}

        def everywhere(index):
            if index not in whole:
                node = self.nodes[index]
                made = self.apply(index, everywhere) if node.get("args") else None
                whole[index] = self.source(index, tensors, tokens) if made is None else made
            return whole[index]

        for index, stateful in enumerate(self.stateful):
            if not stateful:
                everywhere(index)
        slices = {
            index: value.unbind(1) * (tokens if value.shape[1] == 1 else 1)
            for index, value in whole.items()
        }
        for reverse in (True, False):
            group = {
                index
                for index, operand in enumerate(self.operands)
                if operand["kind"] == "state" and operand.get("reverse", False) == reverse
            }
            if group:
                order = range(tokens - 1, -1, -1) if reverse else range(tokens)
                self.walk(group, order, slices, (batch, heads), whole)
        outputs = [op["value"] for op in self.operands if op["kind"] == "output"]
        return [everywhere(index) for index in outputs]

    def walk(self, group, order, slices, lead, whole):
        """Runs the states of a direction; `whole` gets what reads them, over all tokens."""
        dims = {state: [self.sizes[dim] for dim in self.operands[state]["dims"]] for state in group}
        now = {state: torch.zeros(*lead, *dims[state], device=self.device) for state in group}
        ours = [self.depends(index, group) for index in range(len(self.nodes))]
        # What reads a matrix is computed beside it, since matrices of all tokens fit nowhere.
        readers = [
            index
            for index, node in enumerate(self.nodes)
            if ours[index]
            and not self.matrix[index]
            and any(ours[arg] and self.matrix[arg] for arg in node.get("args", ()))
            or node["kind"] in ("state", "affine")
            and ours[index]
            and not self.matrix[index]
        ]
        kept = {index: {} for index in readers}
        for t in order:
            values = {}

            def at(index):
                if not self.stateful[index]:
                    return slices[index][t]
                if index not in values:
                    node = self.nodes[index]
                    if node["kind"] == "state":
                        values[index] = now[node["operand"]]
                    elif node["kind"] == "affine":
                        values[index] = self.update(self.recurrences[node["affine"]], at, now)
                    else:
                        values[index] = self.apply(index, at)
                return values[index]

            for index in readers:
                kept[index][t] = at(index)
            now = {state: at(self.operands[state]["value"]) for state in group}
        for index in readers:
            whole[index] = torch.stack([kept[index][t] for t in sorted(kept[index])], 1)

    def depends(self, index, group):
        node = self.nodes[index]
        if node["kind"] == "state":
            return node["operand"] in group
        if node["kind"] == "affine":
            return self.recurrences[node["affine"]]["state"] in group
        return self.stateful[index] and all(
            self.depends(arg, group) for arg in node.get("args", ()) if self.stateful[arg]
        )

    def update(self, rec, at, now):
        dims = self.operands[rec["state"]]["dims"]
        state = now[rec["state"]]
        new = state
        if rec["logDecays"]:
            logs = [self.aligned(node, dims, at(node)) for node in rec["logDecays"]]
            new = torch.exp(sum(logs[1:], logs[0])) * state
        for pair in rec["rank1"]:
            read = (at(pair["right"]).unsqueeze(-2) @ state).squeeze(-2)
            new = new + at(pair["left"]).unsqueeze(-1) * read.unsqueeze(-2)
        for pair in rec["outer"]:
            key, val = (self.aligned(pair[x], dims, at(pair[x])) for x in ("key", "value"))
            new = new + key * val
        return new


def plan_of(program, name):
    run = subprocess.run([program, "emit", name, "--stage", "plan"], check=True,
                         capture_output=True, text=True)
    return json.loads(run.stdout)


def drawn(plan, sizes, batch, tokens, heads, device):
    """fp32 inputs and params that bf16 holds exactly."""
    torch.manual_seed(7)
    tensors = {}
    for operand in plan["operands"]:
        if operand["kind"] not in ("input", "param"):
            continue
        lead = (batch, tokens, heads) if operand["kind"] == "input" else (heads,)
        x = 0.5 * torch.randn(*lead, *(sizes[dim] for dim in operand["dims"]), device=device)
        if operand["log"]:
            x = -0.2 * x.abs()
        tensors[operand["name"]] = x.bfloat16().float()
    return tensors


def median(call, device, repeats):
    times = []
    for _ in range(repeats + 1):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def row(name, options):
    plan = plan_of(options.program, name)
    batch, tokens, heads = options.shape
    sizes = {dim: options.dim for dim in plan["dims"]}
    for derived in plan.get("derived", ()):
        n = 16 if options.dim > 16 else options.dim
        sizes[derived["from"]] = n
        sizes[derived["dim"]] = 1 + n + n * n
    tensors = drawn(plan, sizes, batch, tokens, heads, options.device)
    eager = Eager(plan, sizes, options.device)
    theirs = {key: x.clone().requires_grad_() for key, x in tensors.items()}
    wide = {op["name"] for op in plan["operands"] if op["kind"] == "param"}
    dtype = torch.bfloat16 if options.device == "cuda" else torch.float32
    ours = {key: (x if key in wide else x.to(dtype)).clone().requires_grad_()
            for key, x in tensors.items()}
    op = lathe.torch.op(name)
    outputs = eager(theirs)
    seeds = [torch.randn_like(o).to(dtype) for o in outputs]

    def eager_gradients():
        return torch.autograd.grad(eager(theirs), list(theirs.values()),
                                   [seed.float() for seed in seeds])

    def lathe_gradients():
        o, _ = op(**ours)
        o = o if isinstance(o, tuple) else (o,)
        return torch.autograd.grad(o, list(ours.values()), seeds)

    ratio, most = 0.0, 0.03 if dtype == torch.bfloat16 else 1e-4
    for key, a, b in zip(tensors, lathe_gradients(), eager_gradients()):
        far = ((a.float() - b).norm() / b.norm().clamp(min=1e-30)).item()
        if not far < most:
            raise SystemExit(f"{name}: the gradients of {key} differ by {far}, at most {most}")
        ratio = max(ratio, far)
    mine = median(lathe_gradients, options.device, 5)
    other = median(eager_gradients, options.device, options.repeats)
    return {"variant": name, "pass": "fwd+bwd", "B": batch, "T": tokens, "H": heads,
            "dims": sizes, "dtype": "bf16" if options.device == "cuda" else "f32",
            "ms_median": round(mine, 3), "eager_ms_median": round(other, 3),
            "worst_rms_ratio": round(ratio, 5)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", help="names (default: the whole library)")
    parser.add_argument("--program", default="build/release/bin/lathe")
    parser.add_argument("--library", type=pathlib.Path, default=pathlib.Path("variants"),
                        help="the folder of the variants")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--shape", default="4,1024,16", help="B,T,H")
    parser.add_argument("--dim", type=int, default=64, help="of every dimension")
    parser.add_argument("--repeats", type=int, default=1, help="of the eager form")
    parser.add_argument("--commit", default="", help="of the record")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go as well")
    options = parser.parse_args()
    options.shape = tuple(int(x) for x in options.shape.split(","))
    names = options.variants or sorted(path.stem for path in options.library.glob("*.lathe"))
    print(f"torch {torch.__version__}, B,T,H {options.shape}, dims {options.dim}: ms, fwd + bwd")
    print(f"{'':22}{'eager':>12}{'lathe':>10}{'worst ratio':>14}")
    rows = []
    for name in names:
        rows.append(row(name, options))
        print(f"{name:22}{rows[-1]['eager_ms_median']:12.2f}{rows[-1]['ms_median']:10.2f}"
              f"{rows[-1]['worst_rms_ratio']:14.5f}", flush=True)
    if options.json:
        machine = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
        options.json.write_text(json.dumps({
            "machine": machine, "torch": torch.__version__, "commit": options.commit,
            "date": datetime.date.today().isoformat(),
            "command": "python " + " ".join(sys.argv), "rows": rows,
        }, indent=2) + "\n")


if __name__ == "__main__":
    main()
