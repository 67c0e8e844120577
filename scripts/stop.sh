#!/bin/sh
# Stops everything in the classic manner: the scheduler first, so that nothing is started again,
# then SIGTERM to the jobs, five seconds, SIGKILL.
# usage: stop.sh [HOME_FOLDER]      (default: PROCCTL_HOME, else /etc/procctl)
home=$(readlink -f "${1:-${PROCCTL_HOME:-/etc/procctl}}")
# what the scheduler started carries the run's number and the home in its environment
runs_of_home() {
  for dir in /proc/[0-9]*; do
    [ -O "$dir" ] || continue
    tr '\0' '\n' 2>/dev/null <"$dir/environ" | awk -v home="PROCCTL_HOME=$home" '
      /^PROCCTL_RUN=/ { run = 1 } $0 == home { here = 1 } END { exit !(run && here) }' && echo "${dir#/proc/}"
  done
}

# loops of the classic form that start the watchdog's scans; nothing else ends them
for dir in /proc/[0-9]*; do
  [ -O "$dir" ] || continue
  case $(tr '\0' ' ' 2>/dev/null <"$dir/cmdline") in
    "procctl 10 checkproc "* | */"procctl 10 checkproc "*) kill -KILL "${dir#/proc/}" 2>/dev/null ;;
  esac
done

# the scheduler with its jobs
procctl stop --home "$home" 2>/dev/null

# whatever is left, say after the scheduler itself was killed
left=$(runs_of_home)
[ -z "$left" ] && exit 0
# shellcheck disable=SC2086
kill -TERM $left 2>/dev/null
tenths=0
while [ "$tenths" -lt 50 ] && [ -n "$(runs_of_home)" ]; do sleep 0.1; tenths=$((tenths + 1)); done
left=$(runs_of_home)
# shellcheck disable=SC2086
[ -n "$left" ] && kill -KILL $left 2>/dev/null
exit 0
