"""bench/eager.py, tiny: gradients of the whole library beside PyTorch's of the same plan."""

import os
import pathlib
import subprocess
import sys
import unittest

import torch_support  # skips without torch
from support import ROOT


class Eager(unittest.TestCase):
    def test_library_agrees(self):
        program = pathlib.Path(os.environ["LATHE_LIBRARY"]).parents[1] / "bin/lathe"
        run = subprocess.run(
            [sys.executable, "-B", ROOT / "bench/eager.py", "--program", program, "--device", "cpu",
             "--library", ROOT / "variants", "--shape", "2,9,2", "--dim", "6"],
            capture_output=True, text=True,
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        for path in (ROOT / "variants").glob("*.lathe"):
            self.assertRegex(run.stdout, rf"(?m)^{path.stem} ")


if __name__ == "__main__":
    unittest.main()
