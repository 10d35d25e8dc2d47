#!/usr/bin/env python3
"""Trains a small language model of bytes, its mixer any equation, and lets it write.

    python examples/train_lm/train.py --mixer gla --text docs --out /tmp/gla
    python examples/train_lm/train.py --mixer my.lathe --dims K=32,V=64 --text book.txt
    python examples/train_lm/train.py --mixer sdpa --text docs      # to compare with

`--mixer` is a variant of the library, a file with one, or sdpa for softmax attention. `--text` is a
file, or a folder, whose *.txt, *.md, *.py and *.rst are read. With --out the loss curve and a
summary go there. Losses are in bits a byte; a model that knows nothing but how often each byte
occurs reaches the text's entropy, which is printed first.
"""

import argparse
import contextlib
import json
import pathlib
import time

import torch
from model import BYTES, Model
from plot import plot
from torch.nn import functional

READ = {".txt", ".md", ".py", ".rst"}
BITS = 1.4426950408889634  # in a nat


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mixer", default="gla")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--dims", default="", help="sizes of the equation's dimensions: K=32,V=64")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, default in (
        ("width", 256),
        ("layers", 6),
        ("heads", 4),
        ("batch", 16),
        ("length", 512),
        ("steps", 1000),
        ("generate", 200),
        ("seed", 0),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    return parser.parse_args()


def read(path, device):
    """All bytes of a file or folder."""
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix in READ and each.is_file())
    text = b"\n".join(each.read_bytes() for each in files)
    if len(text) < 1000:
        raise SystemExit(f"--text {path} has {len(text)} bytes; it must have a thousand or more")
    return torch.frombuffer(bytearray(text), dtype=torch.uint8).long().to(device)


def entropy(text):
    """Bits a byte of the frequencies of bytes."""
    shares = torch.bincount(text, minlength=BYTES).double() / len(text)
    shares = shares[shares > 0]
    return -(shares * shares.log2()).sum().item()


def batch_of(text, batch, length):
    starts = torch.randint(len(text) - length - 1, (batch, 1), device=text.device)
    rows = text[starts + torch.arange(length + 1, device=text.device)]
    return rows[:, :-1], rows[:, 1:]


def precision(device):
    """bf16 on a GPU."""
    if device.startswith("cuda"):
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def loss_of(model, tokens, following):
    logits, _ = model(tokens)
    return functional.cross_entropy(logits.flatten(0, 1).float(), following.flatten())


def train(model, text, options):
    """The losses, and the tokens a second of the later half."""
    call = torch.compile(model) if options.compile else model
    optimizer = torch.optim.AdamW(
        model.parameters(), options.rate, betas=(0.9, 0.95), weight_decay=0.1
    )
    warmup = max(1, options.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, 1.1 - step / options.steps),
    )
    losses, half = [], options.steps // 2
    for step in range(options.steps):
        if step == half:
            start = clock(options.device)
        tokens, following = batch_of(text, options.batch, options.length)
        with precision(options.device):
            loss = loss_of(call, tokens, following)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if step % max(1, options.steps // 20) == 0:
            print(f"step {step}: {loss.item() * BITS:.3f} bits a byte", flush=True)
    seconds = clock(options.device) - start
    rate = (options.steps - half) * options.batch * options.length / seconds
    return [loss.item() * BITS for loss in losses], rate


def clock(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def main():
    options = arguments()
    torch.manual_seed(options.seed)
    sizes = {}
    for part in filter(None, options.dims.split(",")):
        name, _, size = part.partition("=")
        if not size.isdecimal() or not int(size):
            raise SystemExit(f"--dims has {part!r}; it must be like K=32,V=64")
        sizes[name] = int(size)
    text = read(options.text, options.device)
    held = len(text) // 10  # of the end: it is not trained on
    bound = entropy(text)
    model = Model(options.mixer, options.width, options.layers, options.heads, sizes)
    model = model.to(options.device)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{options.mixer}: {count / 1e6:.2f} million weights, {len(text)} bytes of text, whose "
          f"entropy is {bound:.3f} bits a byte")  # fmt: skip
    losses, rate = train(model, text[:-held], options)
    with torch.no_grad(), precision(options.device):
        unseen = [
            loss_of(model, *batch_of(text[-held:], options.batch, options.length)).item() * BITS
            for _ in range(8)
        ]
    result = {
        "mixer": options.mixer,
        "weights": count,
        "entropy": bound,
        "first_loss": losses[0],
        "loss": sum(losses[-10:]) / len(losses[-10:]),
        "unseen_loss": sum(unseen) / len(unseen),
        "tokens_per_second": rate,
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else "cpu",
    }
    print(json.dumps(result))
    if options.generate:
        with precision(options.device):
            start = clock(options.device)
            made = model.generate(options.prompt.encode(), options.generate)
        seconds = clock(options.device) - start
        print(options.prompt + made.decode(errors="replace"))
        print(f"{options.generate / seconds:.0f} bytes a second, one at a time")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
        title = f"{options.mixer}: loss on {result['device']}"
        levels = {"entropy of bytes": bound}
        plot(
            options.out / "loss.svg",
            title,
            list(enumerate(losses)),
            levels,
            ("step", "bits a byte"),
        )


if __name__ == "__main__":
    main()
