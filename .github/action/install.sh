#!/usr/bin/env bash
# Install weightspace from the action's own folder, in an environment of its own.
set -euo pipefail

# Builds of torch for Linux without CUDA are some gigabytes smaller.
if [ "${RUNNER_OS:-}" = Linux ]; then
  export PIP_EXTRA_INDEX_URL="${PIP_EXTRA_INDEX_URL:-https://download.pytorch.org/whl/cpu}"
fi
"$PYTHON" -m venv "$RUNNER_TEMP/weightspace"
"$RUNNER_TEMP/weightspace/bin/python" -m pip install --disable-pip-version-check --quiet \
  -c "$GITHUB_ACTION_PATH/constraints.txt" "$GITHUB_ACTION_PATH"
