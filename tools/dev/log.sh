# shellcheck shell=bash
# What ./dev shows: a line a step with the time since it started, and one line where it has to stop.

step() {
  local seconds=$SECONDS
  printf '[%3d:%02d] %s\n' $((seconds / 60)) $((seconds % 60)) "$*"
}

fail() {
  printf './dev: %s\n' "$*" >&2
  exit 1
}

# quietly LOG COMMAND...: the output goes to a file; the caller names that file if it fails.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1
}
