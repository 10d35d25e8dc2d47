"""Every variant of the library against a transcription of its paper's formula, in both forms."""

import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from cli import ROOT, Case  # noqa: E402

try:
    import numpy as np

    from draws import draw, expect, operands, unscaled
    from variants import VARIANTS
except ImportError as missing:
    raise unittest.SkipTest(f"numpy is missing ({missing}): ./dev installs it") from missing

LIBRARY = sorted(path.stem for path in (ROOT / "variants").glob("*.lathe"))
LENGTHS = ((1, 1), (7, 30), (65, 1))  # with how strong the gates are
LIMIT = 1e-10


def difference(found, expected):
    return np.max(np.abs(found - expected)) / max(1, np.max(np.abs(expected)))


class Library(Case):
    def test_every_file_is_in_the_table(self):
        self.assertEqual(LIBRARY, sorted(VARIANTS))

    def test_every_file_begins_with_its_paper(self):
        for name in LIBRARY:
            first, second = (ROOT / f"variants/{name}.lathe").read_text().splitlines()[:2]
            self.assertRegex(first, r"^# .*(al\.|&|Team).* 20\d\d \(arXiv:\d{4}\.\d{5}\)", name)
            self.assertEqual(second, "#", name)

    def test_classes(self):
        for name, variant in VARIANTS.items():
            with self.subTest(name):
                self.assertEqual(self.lathe("check", name).stdout, f"{name}: {variant.kind}\n")


class Table(unittest.TestCase):
    """docs/recurrences.md against the library."""

    def setUp(self):
        text = (ROOT / "docs/recurrences.md").read_text()
        rows = [line.strip("|").split("|") for line in text.splitlines() if ".lathe)" in line]
        self.rows = {}
        for cells in rows:
            first, *rest = (cell.strip() for cell in cells)
            name, path = re.fullmatch(r"\[(\w+)\]\(\.\./variants/(\w+)\.lathe\)", first).groups()
            self.assertEqual(name, path)
            self.assertNotIn(name, self.rows)
            self.rows[name] = rest

    def test_each_file_has_a_row(self):
        self.assertEqual(sorted(self.rows), LIBRARY)

    def test_rows_say_what_the_specs_are(self):
        for name, (source, _, decay, terms, normaliser, direction, forms) in self.rows.items():
            spec, variant = (ROOT / f"variants/{name}.lathe").read_text(), VARIANTS[name]
            with self.subTest(name):
                self.assertIn(f"(arXiv:{source})", spec.splitlines()[0])
                found = re.search(r"(\d) rank-1 term", variant.kind)
                self.assertEqual(terms, found.group(1) if found else "0")
                self.assertEqual(forms, "token, chunk" if variant.chunks else "token")
                self.assertEqual(bool(variant.gate), "exponential gate" in variant.kind)
                self.assertEqual(direction == "both", "direction both" in spec)
                self.assertEqual(direction == "one state each way", "in reverse" in spec)
                self.assertEqual(normaliser == "none", "normaliser" not in variant.kind)
                if normaliser != "none":
                    self.assertIn(f"normaliser {normaliser[0]}", variant.kind)
                self.assertEqual(direction != "forward", "in reverse" in variant.kind)
                dims = re.findall(r"decay over (\w)", variant.kind)
                self.assertEqual(decay.startswith(("K", "M")), bool(dims))
                if dims:
                    self.assertEqual(decay[0], dims[0])
                self.assertEqual(decay in ("head", "token"), "scalar decay" in variant.kind)
                self.assertEqual(decay == "head", "param  gamma in log" in spec)


class Formulas(Case):
    def run_form(self, name, expected, *options):
        files = ("--input", "x.npz", "--output", "y.npz")
        self.lathe("run", name, *files, "--device", "interpreter", *options)
        with np.load(self.folder / "y.npz") as file:
            self.assertEqual({array.dtype for array in file.values()}, {np.dtype(float)})
            found = unscaled(VARIANTS[name], dict(file))
        self.assertEqual(set(found), set(expected))
        for key, array in expected.items():
            self.assertEqual(found[key].shape, array.shape, key)
            self.assertLess(difference(found[key], array), LIMIT, f"{key} {options}")

    def check(self, name):
        variant = VARIANTS[name]
        for tokens, gates in LENGTHS:
            arrays = draw(name, variant, tokens, gates)
            np.savez(self.folder / "x.npz", **arrays, **variant.consts)
            expected = expect(variant, arrays)
            self.run_form(name, expected)
            if variant.chunks:
                self.run_form(name, expected, "--chunk", max(1, (tokens + 1) // 4))
        if not variant.chunks:
            done = self.lathe("run", name, "--input", "x.npz", "--chunk", 16, code=1)
            self.assertIn("no chunk form", done.stderr)

    def test_exponential_gates_of_any_size(self):
        """Gates whose exponential no double holds; the formulas need wider numbers."""
        if np.finfo(np.longdouble).maxexp <= np.finfo(float).maxexp:
            self.skipTest("this machine has no floating-point numbers wider than double")
        for name, variant in VARIANTS.items():
            if not variant.gate:
                continue
            arrays = draw(name, variant, 65)
            ((gate, _, _),) = operands(variant.gate)
            arrays[gate] *= 500
            self.assertGreater(arrays[gate].max(), 1000)
            np.savez(self.folder / "x.npz", **arrays)
            expected = expect(variant, {n: a.astype(np.longdouble) for n, a in arrays.items()})
            for options in ((), ("--chunk", 16)):
                with self.subTest(name, options=options):
                    self.run_form(name, expected, *options)

    def test_a_wrong_formula_is_found(self):
        variant = VARIANTS["gla"]
        arrays = draw("gla", variant, 7)
        expected = expect(variant, arrays)
        wrong = expect(variant, arrays | {"g": 0.999 * arrays["g"]})
        self.assertGreater(difference(wrong["o"], expected["o"]), LIMIT)


def add_case(name):
    setattr(Formulas, f"test_{name}", lambda self: self.check(name))


for each in VARIANTS:
    add_case(each)


if __name__ == "__main__":
    unittest.main()
