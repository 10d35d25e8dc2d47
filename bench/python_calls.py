#!/usr/bin/env python3
"""What a call from Python costs beside the kernel: the time of the calling thread, in us.

    PYTHONPATH=python LATHE_LIBRARY=build/release/lib/liblathe.so
        python bench/python_calls.py [--json bench/results/python.json]

needs torch. gla, B1 T1 H1 K = V = 4, fp32, one thread, so that the kernel has almost nothing to do;
the launch alone, with all that C checks, is the first row. With --device cuda the operators run on
a GPU, which works beside the calling thread. Each figure is the least of several
means, of processor time, so that other programs on the machine count little.
"""

import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys
import time

import torch

import lathe
import lathe.torch
from lathe import _abi, _kernel
from lathe.compat import fla

CALLS, REPEATS = 1000, 15


def microseconds(call):
    call()
    least = float("inf")
    for _ in range(REPEATS):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.thread_time()
        for _ in range(CALLS):
            call()
        least = min(least, time.thread_time() - start)
    return 1e6 * least / CALLS


def launch_of(variant, tensors):
    """lathe_launch by ctypes, all else done before."""
    dims = {"K": tensors[0].shape[-1], "V": tensors[2].shape[-1]}
    kernel = _kernel.Kernel(variant.handle, _abi.FORWARD, (1, 0), dims, "f32")
    views = {
        name: lathe._tensors.view(name, tensor)
        for name, tensor in zip((*variant.arguments, *variant.outputs), tensors)
    }
    given = [views.get(slot.name) for slot in kernel.slots]
    layouts = [None if view is None else view.layout for view in given]
    binding = _kernel.Binding(kernel, layouts, (), None)
    pointers = [view.pointer for view in given if view is not None]
    binding.launch(pointers, threads=1)
    frame, launch = binding._free[0], _abi.library().lathe_launch
    return lambda: launch(kernel.handle, frame.address, None)


def measure(device):
    torch.set_num_threads(1)
    op = lathe.torch.op("gla")
    q, k, v, o = (torch.randn(1, 1, 1, 4, device=device) for _ in range(4))
    g = -q.abs()
    leaf = q.clone().requires_grad_()
    calls = {
        "PyTorch": lambda: op(q, k, v, g),
        "PyTorch, for a backward pass": lambda: op(leaf, k, v, g),
        "PyTorch, and that pass": lambda: op(leaf, k, v, g)[0].backward(o),
        "lathe.compat.fla": lambda: fla.chunk_gla(q, k, v, g),
    }
    if device == "cpu":
        arrays = [x.numpy() for x in (q, k, v, g)]
        calls = {
            "lathe_launch alone": launch_of(op.variant, (q, k, v, g, o)),
            "NumPy": lambda: op.variant(*arrays, threads=1),
            **calls,
        }
    return {name: round(microseconds(call), 1) for name, call in calls.items()}


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go as well")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--commit", help="where the folder is no repository")
    options = parser.parse_args()
    rows = measure(options.device)
    for name, value in rows.items():
        print(f"{name:32}{value:8.1f}")
    if options.json:
        commit = (
            options.commit
            or subprocess.run(
                ["git", "rev-parse", "--short=12", "HEAD"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
        )
        gpu = f", {torch.cuda.get_device_name()}" if options.device == "cuda" else ""
        record = {
            "machine": processor() + gpu,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "commit": commit,
            "date": datetime.date.today().isoformat(),
            "command": "python " + " ".join(sys.argv),
            "rows": [{"call": name, "us": value} for name, value in rows.items()],
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
