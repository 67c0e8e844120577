#!/bin/sh
# Starts everything in the classic manner: the watchdog first, then the jobs.
# usage: start.sh [HOME_FOLDER]     (default: PROCCTL_HOME, else /etc/procctl)
home=${1:-${PROCCTL_HOME:-/etc/procctl}}
log=${PROCCTL_LOG:-$home/log}
mkdir -p "$log" || exit 1

# every 10 seconds one scan of the heartbeat table; it does not depend on the scheduler
procctl 10 checkproc "$log/checkproc.log" || exit 1

# the scheduler with all jobs of the home; detaches, and says if it could not start
exec procctl start --home "$home"
