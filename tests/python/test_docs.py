"""The programs of the pages on embedding, each in a process of its own."""

import importlib.util
import re
import unittest

from support import ROOT, Case


def programs(page):
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def needs(package):
    found = importlib.util.find_spec(package)
    return unittest.skipUnless(found, f"{package} is missing: ./dev test installs it")


class Programs(Case):
    def only(self, page):
        (program,) = programs(page)
        self.python(program)

    def test_numpy(self):
        program, _ = programs("embedding-python.md")
        lines = self.python(program).splitlines()
        said = re.findall(r"^(?:    )?print\(.*\)  # (.*)$", program, re.MULTILINE)
        self.assertEqual(len(said), 3)
        self.assertEqual(lines[0], said[0])
        self.assertEqual(lines[1], said[1].split(",")[0])
        self.assertRegex(lines[3], r"^ +\| +\^$")
        self.assertRegex(lines[-1], r"'k' has shape .*; it must ")

    @needs("torch")
    def test_torch(self):
        _, program = programs("embedding-python.md")
        self.python(program)

    @needs("torch")
    def test_layers(self):
        self.only("layers.md")

    @needs("torch")
    def test_compat(self):
        self.only("compat.md")

    @needs("jax")
    def test_jax(self):
        self.only("embedding-jax.md")


if __name__ == "__main__":
    unittest.main()
