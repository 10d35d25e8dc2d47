"""lathe cache, on kernels that the binary compiled."""

import pathlib
import unittest

from cli import Case


class Empty(Case):
    def test_list_verify_and_prune_of_nothing(self):
        root = self.folder / "cache"
        self.assertEqual(self.lathe("cache", "list").stdout, f"0 kernels, 0 B, in {root}\n")
        self.assertEqual(self.lathe("cache", "verify").stdout, "0 good, 0 damaged, 0 removed\n")
        self.assertEqual(self.lathe("cache", "prune").stdout, "freed 0 B\n")

    def test_a_cache_that_is_off(self):
        self.assertEqual(
            self.lathe("cache", "list", code=1, LATHE_CACHE="off").stderr,
            "lathe: the cache is off (LATHE_CACHE=off)\n",
        )

    def test_a_bound_that_is_no_size(self):
        done = self.lathe("cache", "prune", "--max", "much", code=2)
        self.assertTrue(done.stderr.startswith("lathe: --max much: "), done.stderr)

    def test_a_bundle_that_is_not_there(self):
        done = self.lathe("cache", "import", "no.bundle", code=1)
        self.assertIn("no.bundle", done.stderr)

    def test_a_key_that_is_not_there(self):
        self.assertEqual(
            self.lathe("cache", "export", "out", "--key", "12ab", code=1).stderr,
            "lathe: the cache has no kernel 12ab; lathe cache list shows them\n",
        )


class Filled(Case):
    def setUp(self):
        super().setUp()
        for name in ("retnet", "mamba2"):
            try:
                self.lathe("emit", name, "--stage", "cubin", "-o", "k", "--arch", "sm_90a",
                           "--family", "step")
            except AssertionError as error:
                if "NVRTC" in str(error) and "install" in str(error):
                    self.skipTest("no NVRTC here")
                raise

    def entries(self):
        return sorted(self.folder.glob("cache/v1/??/*.lathe"))

    def test_list(self):
        out = self.lathe("cache", "list").stdout
        self.assertRegex(out, r"(?m)^ +[0-9a-f]{16} +sm_90a +lathe_step_retnet +\d+ +0 B +")
        self.assertRegex(out, r"(?m)^2 kernels, ")

    def test_damage_is_found_and_repaired(self):
        entry = self.entries()[0]
        content = bytearray(entry.read_bytes())
        content[-1] ^= 1
        entry.write_bytes(content)
        done = self.lathe("cache", "verify", code=1)
        self.assertIn(str(entry), done.stdout)
        self.assertIn("1 good, 1 damaged, 0 removed\n", done.stdout)
        self.assertIn("damaged: ", self.lathe("cache", "list").stdout)
        repaired = self.lathe("cache", "verify", "--repair").stdout
        self.assertIn("1 good, 1 damaged, 1 removed", repaired)
        self.assertEqual(len(self.entries()), 1)

    def test_prune_to_nothing(self):
        self.assertRegex(self.lathe("cache", "prune", "--max", "0").stdout, r"^freed [0-9.]+ kB\n$")
        self.assertEqual(self.entries(), [])

    def test_a_bundle_moves_to_another_machine(self):
        self.assertEqual(
            self.lathe("cache", "export", "b.bundle").stdout, "2 kernels to b.bundle\n"
        )
        other = {"LATHE_CACHE_DIR": str(self.folder / "other")}
        self.assertEqual(
            self.lathe("cache", "import", "b.bundle", **other).stdout,
            "2 added, 0 there already, 0 left out\n",
        )
        self.assertEqual(
            self.lathe("cache", "import", "b.bundle", **other).stdout,
            "0 added, 2 there already, 0 left out\n",
        )

    def test_one_kernel_alone(self):
        key = self.entries()[0]
        beginning = (key.parent.name + key.stem)[:16]
        self.assertEqual(
            self.lathe("cache", "export", "one", "--key", beginning).stdout, "1 kernels to one\n"
        )
        self.assertTrue(pathlib.Path(self.folder / "one").is_file())


if __name__ == "__main__":
    unittest.main()
