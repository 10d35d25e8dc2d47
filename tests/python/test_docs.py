"""The programs of docs/embedding-python.md, each in a process of its own."""

import importlib.util
import re
import unittest

from support import ROOT, Case

PAGE = (ROOT / "docs/embedding-python.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Programs(Case):
    def test_numpy(self):
        lines = self.python(PROGRAMS[0]).splitlines()
        said = re.findall(r"^(?:    )?print\(.*\)  # (.*)$", PROGRAMS[0], re.MULTILINE)
        self.assertEqual(len(said), 3)
        self.assertEqual(lines[0], said[0])
        self.assertEqual(lines[1], said[1].split(",")[0])
        self.assertRegex(lines[3], r"^ +\| +\^$")
        self.assertRegex(lines[-1], r"'k' has shape .*; it must ")

    @unittest.skipUnless(
        importlib.util.find_spec("torch"), "torch is missing: ./dev test installs it"
    )
    def test_torch(self):
        self.python(PROGRAMS[1])

    def test_no_other_programs(self):
        self.assertEqual(len(PROGRAMS), 2)


if __name__ == "__main__":
    unittest.main()
