#!/bin/sh
# Plays the stations: moves waiting day files into raw/, some each second, whole or not at all.
# Run again after a kill it goes on where it stopped.
mkdir -p raw
while :; do
  moved=0
  for file in waiting/*.csv; do
    [ -e "$file" ] || break
    mv "$file" raw/
    moved=$((moved + 1))
    [ "$moved" -ge "${DEMO_FILES:-80}" ] && break
  done
  echo "$moved files arrived"
  sleep 1
done
