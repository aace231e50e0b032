# The files named on stdin, each sourced by a process of its own: its environment goes beside the file. Takes the shell's
# words as arguments. The `env` of coreutils is the judge of what was exported.
while IFS= read -r path; do
  # shellcheck disable=SC2016 # for the shell that is under test
  env -i "$@" -c 'set -a; . "$1"; exec /usr/bin/env -0' envsync "$path" </dev/null >"$path.read" 2>"$path.log" || rm -f "$path.read"
done
