#!/usr/bin/env python3
"""Times eager PyTorch chunk forms beside the CPU target, in one run on the same cores.

    python bench/cpu_torch.py [build/release/bin/lathe_cpu_benchmark]
        [--json bench/results/cpu.json]

needs torch (the CPU build from PyPI). B1 T2048 H4 K=V=128, fp32, medians.
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import time

import torch

B, T, H, D = 1, 2048, 4, 128
SCALE = D**-0.5


def chunks(x, size):
    """[B, T, H, ...] to [B, H, chunks, size, ...]."""
    return x.transpose(1, 2).unflatten(2, (-1, size))


def joined(o):
    return o.flatten(2, 3).transpose(1, 2)


def retnet(q, k, v, gamma, size=64):
    q, k, v = chunks(q * SCALE, size), chunks(k, size), chunks(v, size)
    at = torch.arange(size, dtype=q.dtype)
    gamma = gamma.view(1, H, 1, 1, 1)
    lower = torch.ones(size, size).tril()
    decay = torch.exp(gamma * (at[:, None] - at[None, :]) * lower) * lower
    inside = (q @ k.transpose(-1, -2) * decay) @ v
    reader = q * torch.exp(gamma * (at[:, None] + 1))
    writer = (k * torch.exp(gamma * (size - 1 - at[:, None]))).transpose(-1, -2) @ v
    whole = torch.exp(gamma[:, :, 0] * size)
    state, across = torch.zeros(B, H, D, D), []
    for n in range(q.shape[2]):
        across.append(reader[:, :, n] @ state)
        state = whole * state + writer[:, :, n]
    return joined(inside + torch.stack(across, 2))


def gla(q, k, v, g, size=64):
    q, k, v, g = chunks(q * SCALE, size), chunks(k, size), chunks(v, size), chunks(g, size)
    sums = g.cumsum(-2)
    last = sums[..., -1:, :]
    reader = q * torch.exp(sums)
    lower = torch.ones(size, size).tril()
    inside = (reader @ (k * torch.exp(-sums)).transpose(-1, -2) * lower) @ v
    writer = (k * torch.exp(last - sums)).transpose(-1, -2) @ v
    whole = torch.exp(last).transpose(-1, -2)
    state, across = torch.zeros(B, H, D, D), []
    for n in range(q.shape[2]):
        across.append(reader[:, :, n] @ state)
        state = whole[:, :, n] * state + writer[:, :, n]
    return joined(inside + torch.stack(across, 2))


def gated_delta_net(q, k, v, a, b, A_log, dt_bias, size=64):
    q = q * torch.rsqrt((q * q).sum(-1, keepdim=True) + 1e-6) * SCALE
    k = k * torch.rsqrt((k * k).sum(-1, keepdim=True) + 1e-6)
    g = -torch.exp(A_log) * torch.nn.functional.softplus(a + dt_bias)
    q, k, v = chunks(q, size), chunks(k, size), chunks(v, size)
    beta, g = chunks(torch.sigmoid(b), size)[..., None], chunks(g, size)
    sums = g.cumsum(-1)
    lower = torch.ones(size, size).tril()
    decay = torch.exp((sums[..., :, None] - sums[..., None, :]) * lower) * lower
    keys = k * beta
    strict = (keys @ k.transpose(-1, -2) * decay).tril(-1)
    sides = torch.cat([v * beta, keys * torch.exp(sums)[..., None]], -1)
    unit = strict + torch.eye(size)
    solved = torch.linalg.solve_triangular(unit, sides, upper=False, unitriangular=True)
    values, weights = solved.split(D, -1)
    scores = q @ k.transpose(-1, -2) * decay
    reader = q * torch.exp(sums)[..., None]
    last = sums[..., -1:]
    writer = (k * torch.exp(last - sums)[..., None]).transpose(-1, -2)
    whole = torch.exp(last)[..., None]
    state, o = torch.zeros(B, H, D, D), []
    for n in range(q.shape[2]):
        new = values[:, :, n] - weights[:, :, n] @ state
        o.append(reader[:, :, n] @ state + scores[:, :, n] @ new)
        state = whole[:, :, n] * state + writer[:, :, n] @ new
    return joined(torch.stack(o, 2))


def arguments(name):
    torch.manual_seed(7)
    q, k, v = (torch.randn(B, T, H, D) for _ in range(3))
    if name == "retnet":
        return [q, k, v, -0.05 * torch.randn(H).abs()]
    if name == "gla":
        return [q, k, v, -0.05 * torch.randn(B, T, H, D).abs()]
    return [q, k, v, torch.randn(B, T, H), torch.randn(B, T, H), torch.randn(H), torch.randn(H)]


def check(name, function):
    """The chunk form is the recurrence: two sizes of chunks agree."""
    some = arguments(name)
    a, b = function(*some, size=64), function(*some, size=32)
    ratio = ((a - b).norm() / b.norm()).item()
    assert ratio < 1e-4, f"{name}: chunks of 64 and 32 tokens differ by {ratio}"


def median(call, seconds=4.0):
    call()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def times_of_torch(name, function):
    some = arguments(name)
    with torch.no_grad():
        forward = min(median(lambda: function(*some, size=size)) for size in (32, 64, 128))
    for x in some:
        x.requires_grad_()
    d_o = torch.randn(B, T, H, D)

    def both(size):
        torch.autograd.grad(function(*some, size=size), some, d_o)

    return forward, min(median(lambda: both(size)) for size in (32, 64, 128))


def times_of_lathe(program, threads):
    command = [program, "--benchmark_format=json", "--benchmark_repetitions=5",
               "--benchmark_report_aggregates_only=true",
               f"--benchmark_filter=cpu_(forward|training)/.*/threads:{threads}/(slice|spacing):0"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = json.loads(run.stdout)["benchmarks"]
    return {row["run_name"].split("/threads")[0]: row["real_time"]
            for row in rows if row["aggregate_name"] == "median"}


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))


def record(path, threads, rows):
    """In the form of bench/results: the machine, the commit, the command, and a row a figure."""
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], check=True,
                            capture_output=True, text=True).stdout.strip()
    path.write_text(json.dumps({
        "machine": f"{processor()}, {threads} threads",
        "torch": torch.__version__,
        "commit": commit,
        "date": datetime.date.today().isoformat(),
        "command": "python " + " ".join(sys.argv),
        "rows": rows,
    }, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default="build/release/bin/lathe_cpu_benchmark")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go as well")
    options = parser.parse_args()
    rows = []
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, B{B} T{T} H{H} K=V={D}, ms")
    print(f"{'':18}{'forward':^22}{'forward + backward':^22}")
    print(f"{'':18}{'torch':>10}{'lathe':>10}  {'torch':>10}{'lathe':>10}")
    for function in (retnet, gla, gated_delta_net):
        name = function.__name__
        check(name, function)
        forward, both = times_of_torch(name, function)
        ours = times_of_lathe(options.program, options.threads)
        print(f"{name:18}{forward:10.2f}{ours[f'cpu_forward/{name}']:10.2f}  {both:10.2f}"
              f"{ours[f'cpu_training/{name}']:10.2f}", flush=True)
        for which, theirs, own in (("fwd", forward, "forward"), ("fwd+bwd", both, "training")):
            rows.append({"variant": name, "pass": which, "B": B, "T": T, "H": H, "K": D, "V": D,
                         "dtype": "f32", "ms_median": round(ours[f"cpu_{own}/{name}"], 3),
                         "torch_ms_median": round(theirs, 3)})
    if options.json:
        record(options.json, options.threads, rows)


if __name__ == "__main__":
    main()
