/* A clock that a test sets: preloaded into a process, the time of day is the machine's and the seconds in the file PARLOUR_CLOCK
 * (a number of 8 bytes, negative for the past); the time since the machine started, by which timers go, is the machine's and the
 * seconds in the second number there. Both may change while the process runs; who sleeps already is not woken. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static long (*real_syscall)(long, ...);
static volatile int64_t *ahead_s;

__attribute__((constructor)) static void start(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_syscall = dlsym(RTLD_NEXT, "syscall");
    const char *path = getenv("PARLOUR_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, 2 * sizeof *ahead_s, PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) ahead_s = at;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real_clock_gettime) real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock_gettime(clock, time);
    if (failed || !ahead_s) return failed;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) time->tv_sec += ahead_s[0];
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE) time->tv_sec += ahead_s[1];
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

/* Rust's threads wait until an instant of the clock above, which the system does not know. */
long syscall(long number, ...) {
    va_list list;
    long of[6];
    va_start(list, number);
    for (int at = 0; at < 6; at++) of[at] = va_arg(list, long);
    va_end(list);
    if (!real_syscall) real_syscall = dlsym(RTLD_NEXT, "syscall");
    struct timespec until;
    if (number == SYS_futex && (of[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && of[3] && ahead_s) {
        until = *(const struct timespec *)of[3];
        until.tv_sec -= ahead_s[of[1] & FUTEX_CLOCK_REALTIME ? 0 : 1];
        if (until.tv_sec < 0) until.tv_sec = 0;
        of[3] = (long)&until;
    }
    return real_syscall(number, of[0], of[1], of[2], of[3], of[4], of[5]);
}
