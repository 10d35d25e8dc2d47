"""examples/train_lm, tiny, on the CPU: it learns more than how often bytes occur, and writes from
what it carries along."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock
from xml.etree import ElementTree

from support import ROOT
from torch_support import Case, torch

EXAMPLE = ROOT / "examples/train_lm"
sys.path.insert(0, str(EXAMPLE))

import train
from model import Model

TINY = ["--width", "64", "--layers", "2", "--heads", "2", "--batch", "8", "--length", "128"]
OWN = """
variant own(K, V) {
  input  q[K], k[K], v[V], f
  state  S[K, V]
  S <- sigmoid(f + 3) * S + softmax(k) * v
  output o[V] = softmax(q) @ S
}
"""


class Programs(Case):
    def run_it(self, *options):
        command = [sys.executable, "-B", str(EXAMPLE / "train.py"), "--device", "cpu", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def check(self, mixer, *options):
        with tempfile.TemporaryDirectory() as folder:
            said = self.run_it(
                "--mixer", mixer, "--text", str(ROOT / "docs"), "--steps", "80", *TINY,
                "--out", folder, "--generate", "20", *options,
            )  # fmt: skip
            result = json.loads((pathlib.Path(folder) / "result.json").read_text())
            curve = (pathlib.Path(folder) / "loss.svg").read_text()
        self.assertLess(result["loss"], 0.85 * result["entropy"], said)
        self.assertLess(result["unseen_loss"], 0.85 * result["entropy"], said)
        self.assertGreater(result["tokens_per_second"], 0)
        self.assertIn("bytes a second, one at a time", said)
        lines = ElementTree.fromstring(curve).findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(lines), 3)
        self.assertEqual(len(lines[-1].get("points").split()), 80)

    def test_a_variant_of_the_library(self):
        self.check("gla")

    def test_a_file_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "own.lathe"
            path.write_text(OWN)
            self.check(str(path), "--dims", "K=16,V=32")

    def test_errors(self):
        text = ["--device", "cpu", "--steps", "1", "--text", str(ROOT / "docs")]
        for options, error in (
            (["--mixer", "mala"], "mala reads tokens that follow; a language model can't"),
            (["--dims", "K:3"], "--dims has 'K:3'; it must be like K=32,V=64"),
            (["--dims", "Q=3"], "gla has no dimension Q, but K, V"),
            (["--text", str(EXAMPLE / "none")], "No such file or directory"),
            (
                ["--text", str(EXAMPLE / "../../.gitignore")],
                ".gitignore has 38 bytes; it must have a thousand or more",
            ),
        ):
            with mock.patch("sys.argv", ["train.py", *text, *options]):
                with self.assertRaisesRegex((SystemExit, OSError), re.escape(error)):
                    train.main()


class Models(Case):
    """Token by token, each from the state alone, gives what the whole text at once does."""

    def check(self, name, sizes=None):
        torch.manual_seed(2)
        model = Model(name, 32, 2, 2, sizes or {})
        tokens = torch.randint(256, (2, 11))
        with torch.no_grad():
            whole, _ = model(tokens)
            states = [block.mixer.start() for block in model.blocks]
            parts = []
            for piece in tokens.split([4, 1, 1, 3, 1, 1], 1):
                if name == "sdpa" and piece.shape[1] > 1 and parts:
                    pieces = piece.split(1, 1)
                else:
                    pieces = [piece]
                for each in pieces:
                    logits, states = model(each, states)
                    parts.append(logits)
        self.assert_close(torch.cat(parts, 1), whole, 1e-4)


for each in ("gla", "gated_delta_net", "mamba2", "mlstm", "gsa", "rwkv6", "retnet", "sdpa"):
    setattr(Models, f"test_{each}", lambda self, name=each: self.check(name))


if __name__ == "__main__":
    unittest.main()
