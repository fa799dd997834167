#!/usr/bin/env bash
# Audit checkpoints, and write the summary of the job, a SARIF file and the outputs.
# All inputs are variables; it runs in the bash 3.2 of macOS, too.
set -euo pipefail

refuse() {
  echo "::error::weightspace: $1"
  exit 2
}

lines() { # the lines of a text that are not blank, without spaces around them
  printf '%s\n' "$1" | sed -e 's/^[[:space:]]*//' -e 's/[[:space:]]*$//' -e '/^$/d'
}

case "$FAIL" in true | false) ;; *) refuse "fail-on-contradiction: write true or false" ;; esac
case "$SARIF" in "" | *$'\n'*) refuse "sarif: write the name of one file" ;; esac

made="$(mktemp -d "$RUNNER_TEMP/audit.XXXXXX")" # empty, so that nothing old is taken for new
arguments=(audit "--sarif=$made/audit.sarif" "--markdown=$made/audit.md")
[ -z "$CARD" ] || arguments+=("--claims=$CARD")
[ -z "$DATA" ] || arguments+=("--data=$DATA")
[ -z "$REQUIRE" ] || arguments+=("--require=$REQUIRE")
while IFS= read -r claim; do
  [ -z "$claim" ] || arguments+=("--claim=$claim")
done < <(lines "$CLAIMS")
arguments+=(--) # what follows is a file, whatever its name begins with
count=0
while IFS= read -r file; do
  matches=()
  if [ -n "$file" ] && [ ! -e "$file" ]; then
    while IFS= read -r match; do matches+=("$match"); done < <(compgen -G "$file" | sort)
  fi
  [ "${#matches[@]}" -gt 0 ] || matches=("$file")
  [ -z "$file" ] || arguments+=("${matches[@]}")
  count=$((count + ${#file}))
done < <(lines "$FILES")
[ "$count" -gt 0 ] || refuse "files: name a checkpoint"

# The runner takes lines that begin with :: for commands. None that a card or a file spells out may
# be one.
token="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
code=0
echo "::stop-commands::$token"
"$RUNNER_TEMP/weightspace/bin/weightspace" "${arguments[@]}" 2>&1 || code=$?
echo "::$token::"

if [ -s "$made/audit.md" ]; then
  cat "$made/audit.md" >>"$GITHUB_STEP_SUMMARY"
else
  echo "The audit did not begin; the log of the job says why." >>"$GITHUB_STEP_SUMMARY"
fi
if [ -s "$made/audit.sarif" ]; then
  mv -f -- "$made/audit.sarif" "$SARIF" || refuse "sarif: $SARIF cannot be written"
else
  SARIF=""
fi
printf 'exit-code=%s\nsarif=%s\n' "$code" "$SARIF" >>"$GITHUB_OUTPUT"
if [ "$code" = 1 ]; then
  said="a claim is contradicted, or not decided; the summary of the job says which"
  [ "$FAIL" = false ] || { echo "::error::weightspace: $said"; exit 1; }
  echo "::warning::weightspace: $said"
  exit 0
fi
[ "$code" = 0 ] || echo "::error::weightspace: something cannot be read; the log of the job says what"
exit "$code"
