#!/bin/sh
# Works for five seconds, then hangs as real jobs do: alive, and waiting for what never comes.
# The second time it only works.
n=0
while :; do
  n=$((n + 1))
  echo "feed: $n messages handled"
  if [ "$n" -eq 5 ] && [ ! -e feed.hung ]; then
    touch feed.hung
    mkfifo feed.pipe
    read -r _ <feed.pipe
  fi
  sleep 1
done
