# shellcheck shell=bash
# build/bundle: what a GPU node with only a driver and NVRTC needs to test, tune and measure.

bundleLimit=$((40 * 1000 * 1000))

# makeBundle BUILD BUNDLE
makeBundle() {
  local build=$1 bundle=$2 program
  step "gather $bundle"
  rm -rf "$bundle"
  mkdir -p "$bundle/bin" "$bundle/lib"
  cp "$build/bin/lathe_node" "$bundle/bin/lathe" # Without the CPU target, which brings LLVM along.
  for program in "$build"/bin/lathe_gpu_test* "$build"/bin/*_benchmark; do
    [[ -x $program && $program != */lathe_cpu_benchmark ]] && cp "$program" "$bundle/bin/"
  done
  cp -r variants "$bundle/"
  bundleReadme >"$bundle/README"

  step "strip, and take along what the node may lack"
  strip "$bundle"/bin/*
  for program in "$bundle"/bin/*; do
    takeLibraries "$program" "$bundle/lib"
  done
  for program in "$bundle"/bin/*; do
    checkStatic "$program"
  done

  local size
  size=$(find "$bundle" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }')
  ((size < bundleLimit)) || fail "$bundle has $size bytes, over $bundleLimit:" \
    "see which program grew with: ls -lS $bundle/bin"
  step "$bundle is ready: $((size / 1000000)) MB; $bundle/README says how to use it"
}

bundleReadme() {
  cat <<'TEXT'
bin/lathe_gpu_test checks every kernel on this GPU against the interpreter, in fp64.
bin/lathe bench --suite h200 --json h200.json measures them (LATHE_NVRTC_PATH names libnvrtc).
TEXT
}

# ldd prints "name => path (address)". glibc is of the node; the rest travels, found by RUNPATH.
takeLibraries() {
  local program=$1 folder=$2 name path
  while read -r name path; do
    case $name in
      libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | ld-linux*) continue ;;
      libLLVM* | libMLIR* | libcuda* | libnvrtc* | libcublas*) continue ;;
    esac
    [[ $path == not ]] && fail "$program needs $name, which is not on this machine"
    [[ -f $folder/$name ]] || cp -L "$path" "$folder/$name"
  done < <(ldd "$program" | awk '$2 == "=>" { print $1, $3 }')
}

# The compiler is linked in and the driver is opened at run time, so that a bundle runs anywhere.
checkStatic() {
  local program=$1 linked
  linked=$(ldd "$program" | awk '{ print $1 }' | grep -E '^lib(LLVM|MLIR|cuda|nvrtc|cublas|nv)' ||
    true)
  [[ -z $linked ]] || fail "$program links ${linked//$'\n'/ }, which a GPU node lacks:" \
    "name the static archives in its CMakeLists.txt"
}
