"""Every stage of every variant."""

import json
import unittest

from cli import ROOT, VARIANTS, Case


class Emit(Case):
    def test_the_spec_is_printed_in_one_style(self):
        self.assertEqual(
            self.lathe("emit", "gla", "--stage", "spec").stdout,
            "variant gla(K, V) {\n"
            "  input  q[K], k[K], v[V]\n"
            "  input  g[K] in log\n"
            "  const  scale = 1 / sqrt(K)\n"
            "\n"
            "  state  S[K, V]\n"
            "  S <- exp(g) * S + k * v\n"
            "  output o[V] = scale * (q @ S)\n"
            "}\n",
        )

    def test_what_is_printed_is_the_same_variant(self):
        for name in VARIANTS:
            text = self.lathe("emit", name, "--stage", "spec").stdout
            path = self.write(f"again/{name}.lathe", text)
            self.assertEqual(self.lathe("emit", path, "--stage", "spec").stdout, text)
            for stage in ("normal", "chunk"):
                self.assertEqual(
                    self.lathe("emit", path, "--stage", stage).stdout,
                    self.lathe("emit", name, "--stage", stage).stdout,
                )

    def test_mlir_stages(self):
        for name in VARIANTS:
            for stage in ("ir", "normal", "chunk"):
                out = self.lathe("emit", name, "--stage", stage).stdout
                self.assertTrue(out.startswith(f"lathe.variant @{name}"), out[:80])
            self.assertIn("lathe.affine", self.lathe("emit", name, "--stage", "normal").stdout)

    def test_the_plan_is_json(self):
        plan = json.loads(self.lathe("emit", "mamba2", "--stage", "plan").stdout)
        self.assertEqual(plan["variant"], "mamba2")
        self.assertEqual(plan["dims"], ["K", "V"])

    def test_cuda_is_complete_and_deterministic(self):
        for name in VARIANTS:
            for family in ("", "step"):
                arguments = ["emit", name, "--stage", "cuda", "--arch", "sm_90a"]
                arguments += ["--family", family] if family else []
                out = self.lathe(*arguments).stdout
                self.assertNotIn("#include", out)
                self.assertIn('extern "C" __global__', out)
                self.assertEqual(self.lathe(*arguments).stdout, out)

    def test_a_launcher_is_written_beside_the_kernel(self):
        kernel, launcher = self.folder / "gla.cuh", self.folder / "gla_launch.cuh"
        arguments = ["emit", "gla", "--stage", "cuda", "--arch", "sm_90a", "--launcher", launcher]
        self.lathe(*arguments, "-o", kernel)
        text = launcher.read_text()
        self.assertIn('#include "gla.cuh"', text)
        self.assertIn("inline cudaError_t lathe_scan_gla_launch(int batch, int tokens", text)
        done = self.lathe(*arguments, code=2)
        self.assertIn("--launcher goes with --stage cuda -o FILE", done.stderr)

    def test_a_tile_is_taken(self):
        arguments = ["emit", "retnet", "--stage", "cuda", "--arch", "sm_90a", "--tile"]
        some = self.lathe(*arguments, "c16,b64,v64,s2").stdout
        others = self.lathe(*arguments, "c16,b32,v32,s1").stdout
        self.assertNotEqual(some, others)

    def test_a_tile_that_cannot_be_meant(self):
        done = self.lathe("emit", "gla", "--stage", "cuda", "--tile", "q7", code=2)
        self.assertTrue(done.stderr.startswith("lathe: --tile q7: 'q7' is no part of a tile;"))

    def test_the_gradient_is_the_adjoint(self):
        for name in VARIANTS:
            out = self.lathe("emit", name, "--stage", "gradient").stdout
            self.assertTrue(out.startswith(f"lathe.variant @{name} (K, V) {{\n"), out[:80])
            self.assertIn('lathe.state "d.S" in_reverse : <K, V>\n', out)
            self.assertIn('lathe.output "d.', out)
            out = self.lathe("emit", name, "--stage", "chunk-gradient").stdout
            self.assertTrue(out.startswith(f"lathe.variant @{name} (K, V) chunked {{\n"), out[:80])
            self.assertIn('lathe.update "d.S"', out)

    def test_a_chunk_gradient_needs_a_chunk_form(self):
        self.lathe("emit", "longhorn", "--stage", "gradient")
        done = self.lathe("emit", "longhorn", "--stage", "chunk-gradient", code=1)
        self.assertIn("variant longhorn has no chunk form; line ", done.stderr)

    def test_an_unknown_stage_names_those_there_are(self):
        done = self.lathe("emit", "gla", "--stage", "wrong", code=2)
        self.assertIn(
            "'wrong' is no stage; accepted are spec, ir, normal, chunk, gradient, chunk-gradient, "
            "plan, cuda, ptx and cubin",
            done.stderr,
        )

    def test_scan_of_a_variant_without_one(self):
        done = self.lathe("emit", "gated_delta_net", "--stage", "cuda", "--family", "scan", code=1)
        self.assertIn("variant 'gated_delta_net' has no scan form", done.stderr)

    def test_output_that_cannot_be_written(self):
        done = self.lathe("emit", "gla", "--stage", "ir", "-o", "no/where.mlir", code=1)
        self.assertEqual(done.stderr, "lathe: cannot write 'no/where.mlir'\n")


class Compiled(Case):
    def setUp(self):
        super().setUp()
        try:
            self.lathe("emit", "retnet", "--stage", "ptx")
        except AssertionError as error:
            if "NVRTC" in str(error) and "install" in str(error):
                self.skipTest("no NVRTC here")
            raise

    def test_ptx(self):
        out = self.lathe("emit", "retnet", "--stage", "ptx", "--arch", "sm_80").stdout
        self.assertIn(".target sm_80", out)
        self.assertIn(".entry lathe_scan_retnet", out)

    def test_cubin_is_an_elf_file_and_cached(self):
        path = self.folder / "k.cubin"
        for origin in (r"compiled in \S+ m?s", "from the cache"):
            done = self.lathe("emit", "gla", "--stage", "cubin", "--arch", "sm_90a", "-o", path)
            self.assertEqual(path.read_bytes()[:4], b"\x7fELF")
            self.assertRegex(
                done.stderr,
                r"^lathe_scan_gla for sm_90a: \d+ registers, 0 bytes spilled, "
                rf"\d+ bytes of shared memory; {origin}\n$",
            )
        self.assertIn("lathe_scan_gla", self.lathe("cache", "list").stdout)

    def test_without_nvrtc_it_says_what_is_missing(self):
        empty = self.folder / "empty"
        empty.mkdir()
        done = self.lathe(
            "emit", "gla", "--stage", "cubin", "-o", "k.cubin", code=1, LATHE_NVRTC_PATH=str(empty)
        )
        self.assertIn("NVRTC", done.stderr)
        self.assertIn("LATHE_NVRTC_PATH", done.stderr)
        self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
