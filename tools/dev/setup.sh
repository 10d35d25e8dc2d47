# shellcheck shell=bash
# Installs what is missing, and only that: a second run asks dpkg and the file system, not the
# network.

# libmlir-19-dev links LLVMSupport, whose targets name zlib and zstd; tinfo comes with llvm-19-dev.
debianPackages=(
  g++ cmake ninja-build ccache python3 python3-venv git
  llvm-19-dev llvm-19-tools libmlir-19-dev mlir-19-tools zlib1g-dev libzstd-dev libminizip-dev
  clang-19 libclang-rt-19-dev clang-format-19 clang-tidy-19
  libgtest-dev libgmock-dev libbenchmark-dev nlohmann-json3-dev libcli11-dev libdlpack-dev pkgconf
)
nvrtcPackage=nvidia-cuda-nvrtc==13.0.88
venv=$PWD/.venv
setupLogs=$PWD/build/setup

setup() {
  setupDebian
  setupPython
}

have() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || return 1
  done
}

missingPackages() {
  local package
  for package in "${debianPackages[@]}"; do
    case $package in
      cmake) have cmake && continue ;;
      ninja-build) have ninja && continue ;;
    esac
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      echo "$package"
  done
}

setupDebian() {
  if ! have dpkg-query apt-get; then
    # Another system: whoever names its MLIR has installed the rest as well.
    have cmake ninja c++ python3 && [[ -n ${MLIR_DIR:-} ]] && return 0
    fail "no apt-get here: install (Debian's names) ${debianPackages[*]}, then set MLIR_DIR"
  fi
  local missing
  mapfile -t missing < <(missingPackages)
  ((${#missing[@]})) || return 0
  local install="apt-get install -y --no-install-recommends ${missing[*]}"
  [[ -z ${LATHE_NO_INSTALL:-} ]] || fail "packages are missing; run: sudo $install"
  ((EUID == 0)) || fail "packages are missing; run: sudo $install"

  step "install ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  quietly "$setupLogs/apt-update.log" apt-get -o DPkg::Lock::Timeout=300 update ||
    fail "apt-get update failed (see build/setup/apt-update.log): connect to the network, run again"
  # shellcheck disable=SC2086  # the words of $install are the command
  quietly "$setupLogs/apt-install.log" ${install/-y/-y -o DPkg::Lock::Timeout=300} ||
    fail "$(aptReason); see build/setup/apt-install.log, then run: $install"
}

aptReason() {
  local log=$setupLogs/apt-install.log
  if grep -q 'No space left\|enough free space' "$log"; then
    echo "the disk is full (5 GB are needed)"
  elif grep -q 'Unable to locate package' "$log"; then
    echo "this release has no $(sed -n 's/.*Unable to locate package //p' "$log" | head -1)" \
      "(Debian 12 has all)"
  elif grep -q 'Failed to fetch\|Could not resolve' "$log"; then
    echo "the packages could not be fetched (no network?)"
  else
    echo "apt-get failed"
  fi
}

# The python packages of the tests, and NVRTC where no CUDA toolkit brings it, in .venv. A stamp
# holds what was installed, so that a changed pin installs again and nothing else does.
setupPython() {
  findNvrtc
  local wanted stamp=$venv/.installed
  wanted=$(cat tests/requirements.txt)
  [[ -n ${LATHE_NVRTC_PATH:-} ]] || wanted+=$'\n'$nvrtcPackage
  if ! { [[ -f $stamp && -x $venv/bin/python ]] && covers "$(cat "$stamp")" "$wanted"; }; then
    [[ -z ${LATHE_NO_INSTALL:-} ]] || fail ".venv is missing: run ./dev without LATHE_NO_INSTALL"
    installPython "$wanted" "$stamp"
  fi
  if [[ -z ${LATHE_NVRTC_PATH:-} ]]; then
    LATHE_NVRTC_PATH=$(venvNvrtc)
    [[ -n $LATHE_NVRTC_PATH ]] ||
      fail "$nvrtcPackage brought no libnvrtc: remove .venv and run again"
  fi
  export LATHE_NVRTC_PATH
  PATH=$venv/bin:$PATH
}

# setupOptional NAME: PyTorch or JAX, for their tests alone, which are skipped where they cannot be
# had. Any build will do; pip's own settings (PIP_EXTRA_INDEX_URL) may name those for the CPU, which
# are smaller.
setupOptional() {
  local name=$1 wanted stamp=$venv/.installed-$1
  wanted=$(cat "tests/requirements-$name.txt")
  [[ -f $stamp && $(cat "$stamp") == "$wanted" ]] && return 0
  if [[ -z ${LATHE_NO_INSTALL:-} ]]; then
    step "install $wanted into .venv, for its tests"
    if quietly "$setupLogs/pip-$name.log" "$venv/bin/python" -m pip install \
      --disable-pip-version-check --requirement "tests/requirements-$name.txt"; then
      echo "$wanted" >"$stamp"
      return 0
    fi
  fi
  step "the tests of $name are skipped: .venv has no $wanted (see build/setup/pip-$name.log)"
}

# covers HAVE WANTED: every line of WANTED is a line of HAVE.
covers() {
  ! grep -vxFf <(echo "$1") <(echo "$2") >/dev/null
}

installPython() {
  local wanted=$1 stamp=$2 python=python3
  [[ -x /usr/bin/python3 ]] && python=/usr/bin/python3
  step "install ${wanted//$'\n'/ } into .venv"
  quietly "$setupLogs/venv.log" "$python" -m venv --clear "$venv" ||
    fail "$python cannot make .venv (see build/setup/venv.log): install python3-venv or free space"
  echo "$wanted" >"$setupLogs/requirements.txt"
  quietly "$setupLogs/pip.log" "$venv/bin/python" -m pip install --disable-pip-version-check \
    --requirement "$setupLogs/requirements.txt" || fail "pip could not install" \
    "${wanted//$'\n'/ } (see build/setup/pip.log): connect to the network or free space, run again"
  echo "$wanted" >"$stamp"
}

# Sets LATHE_NVRTC_PATH where a toolkit has an NVRTC that knows every architecture of the tests.
findNvrtc() {
  if [[ -n ${LATHE_NVRTC_PATH:-} ]]; then
    [[ -e $LATHE_NVRTC_PATH ]] ||
      fail "LATHE_NVRTC_PATH=$LATHE_NVRTC_PATH is not there: unset it or name a libnvrtc"
    return 0
  fi
  local candidate
  while read -r candidate; do
    if [[ -f $candidate ]] && knowsBlackwell "$candidate"; then
      LATHE_NVRTC_PATH=$candidate
      return 0
    fi
  done < <(
    compgen -G "${CUDA_HOME:-/usr/local/cuda}/lib64/libnvrtc.so*" || true
    compgen -G '/usr/local/cuda*/lib64/libnvrtc.so*' || true
    { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | sed -n 's/.*libnvrtc\.so.* => //p'
  )
}

# CUDA 12.8 is the first whose NVRTC compiles for sm_120.
knowsBlackwell() {
  python3 - "$1" <<'PYTHON' 2>/dev/null
import ctypes, sys
major, minor = ctypes.c_int(), ctypes.c_int()
ctypes.CDLL(sys.argv[1]).nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
sys.exit((major.value, minor.value) < (12, 8))
PYTHON
}

venvNvrtc() {
  compgen -G "$venv/lib/python3*/site-packages/nvidia/*/lib/libnvrtc.so.*" | head -1
}
