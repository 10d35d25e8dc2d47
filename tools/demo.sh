#!/usr/bin/env bash
# From two equations to checked, tuned and cached kernels, step by step. ./dev demo builds what it
# needs and runs it; LATHE_BIN names another binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lathe=${LATHE_BIN:-build/release/bin/lathe}
[[ -x $lathe ]] || {
  echo "tools/demo.sh: $lathe is not there: run ./dev demo, which builds it" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LATHE_VARIANTS=variants
export LATHE_CACHE_DIR=$work/cache LATHE_TUNING_DIR=$work/tuning

# Seconds with three decimals.
now() { date +%s.%N; }

# demo_step TITLE EXPLANATION COMMAND...: shows the command, runs it, says how long it took.
demo_step() {
  local title=$1 explanation=$2 begin
  shift 2
  printf '\n--- %s\n    %s\n' "$title" "$explanation"
  printf '    $ %s\n\n' "$(shown "$@")"
  begin=$(now)
  "$@" 2>&1 | sed 's/^/    /'
  awk -v a="$begin" -v b="$(now)" 'BEGIN { printf "\n    [%.0f ms]\n", 1000 * (b - a) }'
}

# A command as one would type it.
shown() {
  local text="$*"
  text=${text//$lathe/lathe}
  echo "${text//$work\//}"
}

# make_tensors VARIANT FILE [TOKENS]: random tensors, named as the spec names them.
make_tensors() {
  python3 - "$@" <<'PYTHON'
import sys
import numpy as np

variant, path = sys.argv[1:3]
B, T, H, K, V = 2, int((sys.argv[3:] or [1000])[0]), 4, 128, 128
random = np.random.default_rng(1).standard_normal
arrays = {"q": random((B, T, H, K)), "k": random((B, T, H, K)), "v": random((B, T, H, V))}
if variant == "gla":
    arrays["g"] = -np.logaddexp(0, -random((B, T, H, K)))  # log(sigmoid(x))
else:
    arrays |= {"a": random((B, T, H)), "b": random((B, T, H))}
    arrays |= {"A_log": random(H), "dt_bias": random(H)}
np.savez(path, **{name: array.astype(np.float32) for name, array in arrays.items()})
for name, array in arrays.items():
    print(f"{name:8} {list(array.shape)}")
PYTHON
}

show_variant() {
  local variant=$1
  printf '\n=== %s\n\n' "$variant"
  sed 's/^/    /' "variants/$variant.lathe"
  demo_step "What kind of recurrence is it?" \
    "The compiler proves it from the equation; remarks say what it cannot do, and where." \
    "$lathe" check "$variant"
  demo_step "What was derived from it" \
    "The normal form; its chunk form and step; the plan; the least that a call can cost." \
    "$lathe" explain "$variant" --shape 8,4096,16
  demo_step "Tensors" "Random numbers in an .npz file, under the names of the equation." \
    make_tensors "$variant" "$work/x.npz"
  run_variant "$variant"
}

run_variant() {
  local variant=$1
  if ((gpu)); then
    demo_step "Run on the GPU, checked" \
      "CUDA source, NVRTC, launch; beside it the interpreter runs the equation in fp64." \
      "$lathe" run "$variant" --input "$work/x.npz" --output "$work/y.npz" --dtype bf16 --check
    demo_step "Tune" \
      "Candidates by a resource model; each checked against the interpreter, then timed." \
      "$lathe" tune "$variant" --shape 8,4096,16 --budget 30
    demo_step "Run again, as tuned" "A first call with the tuned tile." \
      "$lathe" run "$variant" --input "$work/x.npz" --output "$work/y.npz" --dtype bf16
    demo_step "Run again, from the cache" "A new process: nothing is compiled, nothing is tuned." \
      "$lathe" run "$variant" --input "$work/x.npz" --output "$work/y.npz" --dtype bf16
  else
    demo_step "Run on the CPU, checked" \
      "There is no GPU here: compiled for this processor, held against the fp64 interpreter." \
      "$lathe" run "$variant" --input "$work/x.npz" --output "$work/y.npz" --check
    demo_step "The interpreter, checked" \
      "Two derivations of one equation: token by token, and by chunks of 64 tokens." \
      "$lathe" run "$variant" --input "$work/x.npz" --device interpreter --check
    demo_step "Tune for this processor" \
      "Threads and slices; each candidate checked against the interpreter, then timed." \
      "$lathe" tune "$variant" --device cpu --shape 1,1000,4 --budget 10
    demo_step "Compile for an H200" \
      "All but the launch works without a GPU: CUDA source by NVRTC to a cubin for sm_90a." \
      "$lathe" emit "$variant" --stage cubin --arch sm_90a -o "$work/kernel.cubin"
    demo_step "What the kernel uses" "Registers and spills by ptxas. (Tuning them needs a GPU.)" \
      "$lathe" cache list
    demo_step "Compile again, from the cache" "A new process: nothing is compiled." \
      "$lathe" emit "$variant" --stage cubin --arch sm_90a -o "$work/kernel.cubin"
  fi
}

cat <<TEXT
Lathe turns the written recurrence of a linear-attention variant into GPU kernels. This runs two
variants from their files to a checked result, with a cache of its own in a scratch folder.
TEXT
make_tensors gla "$work/tiny.npz" 16 >/dev/null
gpu=1
if ! reason=$(LATHE_CACHE_DIR=$work/probe "$lathe" run gla --input "$work/tiny.npz" \
  --device cuda:0 2>&1 >/dev/null); then
  gpu=0
  printf '\nNo GPU is used (%s):\n' "${reason##*$'\n'}"
  echo "the equations run on the CPU, and GPU kernels are compiled but not launched."
fi
for variant in gla gated_delta_net; do
  show_variant "$variant"
done
printf '\nNext: write a variant of your own (docs/language.md), and ask lathe --help.\n'
