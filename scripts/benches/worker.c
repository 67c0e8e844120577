/* The worker of the supervision bench: notes when it started, then waits for ever. A few kilobytes, no library. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct timespec now;
  char line[128];
  clock_gettime(CLOCK_MONOTONIC, &now);
  int length = snprintf(line, sizeof line, "%s %d %lld\n", argv[1], (int)getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
  int file = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (argc < 3 || file < 0 || write(file, line, length) != length) return 1;
  close(file);
  for (;;) pause();
}
