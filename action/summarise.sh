#!/usr/bin/env bash
# Writes outputs and job summary, and prints the one annotation; whatever else is printed obeys no model.
set -euo pipefail
word="llmgate-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
printf '::stop-commands::%s\n' "$word"
trap 'printf "\n::%s::\n" "$word"' EXIT
line=$("$LLMGATE_PYTHON" -P -c "from llmgate.cli import main; main(prog_name='llmgate')" \
  github-summary --exit-code "$LLMGATE_EXIT_CODE" -- "$LLMGATE_FOLDER")
trap - EXIT
printf '\n::%s::\n%s\n' "$word" "$line"
