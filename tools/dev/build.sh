# shellcheck shell=bash
# Configure, compile and test the presets of CMakePresets.json.

# A translation unit that includes MLIR takes up to 2 GiB, a static link with it more.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ { print int($2 / 1048576 / 3) }' /proc/meminfo)
  ((memory < 1)) && memory=1
  echo "${LATHE_JOBS:-$((cores < memory ? cores : memory))}"
}

# build [PRESET]
build() {
  local preset=${1:-release}
  step "configure build/$preset"
  quietly "build/setup/cmake-$preset.log" cmake --preset "$preset" || {
    grep -A6 'CMake Error' "build/setup/cmake-$preset.log" | head -20 >&2 || true
    fail "configuring build/$preset failed (see build/setup/cmake-$preset.log);" \
      "./dev clean may help"
  }
  step "compile build/$preset, $(jobs) at a time"
  cmake --build --preset "$preset" --parallel "$(jobs)" ||
    fail "build/$preset does not compile: the compiler's first error above says where"
}

# Release runs every test, the fuzz target for a minute included; the parts without MLIR run once
# more under ASan and UBSan, even where a test of release failed.
runTests() {
  local preset results=() status=0
  for preset in release sanitize; do
    build "$preset"
    step "test build/$preset"
    local result=build/$preset/ctest.xml
    rm -f "$result"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=ignore \
      --parallel "$(nproc)" --output-junit "$PWD/$result" "$@" || status=$?
    [[ ! -f $result ]] || results+=("$result")
  done
  step "tests done"
  python3 tools/dev/summary.py "${results[@]}" || status=$?
  return "$status"
}
