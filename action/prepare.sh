#!/usr/bin/env bash
# Names the interpreter that has llmgate to the steps that follow, and makes one where none was given.
#
# Reads:  LLMGATE_ACTION_PYTHON, _INSTALL and _UPLOAD, GITHUB_ACTION_PATH, RUNNER_TEMP
# Writes: `python` to GITHUB_OUTPUT; on failure an annotation and a line in the job summary.
set -euo pipefail

# What pip and its packages run needs none of the step's keys, only those of its index.
while IFS= read -r name; do
  case ${name^^} in
    PIP_*) ;;
    OPENAI_* | MLFLOW_* | *KEY* | *TOKEN* | *SECRET* | *PASSW* | *CREDENTIAL* | *_PAT | *_PWD | *_AUTH) unset "$name" ;;
  esac
done < <(compgen -e)

# A message is one command however it is worded: a line feed in it would begin another.
escaped() {
  local text=${1//'%'/'%25'}
  text=${text//$'\r'/'%0D'}
  printf '%s' "${text//$'\n'/'%0A'}"
}

fail() {
  printf '::error title=llmgate: ERROR::%s\n' "$(escaped "$1")"
  printf '## ⚠️ ERROR: the gate could not run\n\n```text\n%s\n```\n' "${1//'`'/"'"}" >> "$GITHUB_STEP_SUMMARY"
  exit 2
}

# What an installer prints comes from packages; none of it is a command.
quietly() {
  local word code=0
  word="llmgate-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
  printf '::stop-commands::%s\n' "$word"
  "$@" 2>&1 || code=$?
  printf '\n::%s::\n' "$word"
  return "$code"
}

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }

install=${LLMGATE_ACTION_INSTALL:-}
pins=()
python=${LLMGATE_ACTION_PYTHON:-}

if [[ ${LLMGATE_ACTION_UPLOAD:-} != true && ${LLMGATE_ACTION_UPLOAD:-} != false ]]; then
  fail "upload is '${LLMGATE_ACTION_UPLOAD:-}'. Give true or false"
fi

if [[ ! $install =~ ^[a-z0-9,-]*$ ]]; then
  fail "install is '$install'. Give extras such as vllm or vllm,mlflow, or none"
fi

if [[ -n $python ]]; then
  found=$(command -v -- "$python") || fail "python is '$python', which is not an executable. Give the interpreter that has llmgate, or leave it empty"
  [[ $found == /* ]] || found=$PWD/$found
  [[ $found != *$'\n'* ]] || fail "python is a path with a line feed"
  new_enough "$found" || fail "$python is no Python 3.11 or newer. Give a newer one, for example with actions/setup-python"
  install=${install:-none}
else
  [[ $install != none ]] || fail "install is none, but no python is given that has llmgate already. Give python, or leave install empty"
  base=$(command -v python3) || fail "there is no python3 on this runner. Add actions/setup-python before this action, or give python"
  new_enough "$base" || fail "python3 on this runner is older than Python 3.11. Add actions/setup-python before this action, or give python"
  folder=$(mktemp -d "$RUNNER_TEMP/llmgate-venv-XXXXXX")
  # Isolated: a file of the checkout that is called like a module must not run.
  quietly "$base" -I -m venv "$folder" || fail "python3 -m venv failed, see the log. On Debian and Ubuntu it needs the package python3-venv"
  found=$folder/bin/python
  # The versions that were tested. Which ones vLLM for GPUs wants depends on the machine.
  [[ ,$install, == *,vllm,* ]] || pins=(--constraint "$GITHUB_ACTION_PATH/constraints.txt")
fi

if [[ $install != none ]]; then
  echo "::group::Install llmgate${install:+ with $install}"
  status=0
  quietly "$found" -P -m pip install --disable-pip-version-check --no-input "${pins[@]}" \
    "$GITHUB_ACTION_PATH${install:+[$install]}" || status=$?
  echo "::endgroup::"
  [[ $status == 0 ]] || fail "pip could not install llmgate${install:+ with $install}, see the log"
fi

quietly "$found" -P -c 'import llmgate' ||
  fail "$found has no llmgate that can be imported. Install it there, or leave python empty, or name extras with install"

printf 'python=%s\n' "$found" >> "$GITHUB_OUTPUT"
