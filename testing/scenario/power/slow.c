/* A slow disk: preloaded into a process, each fsync takes the milliseconds in the file PARLOUR_SLOW longer (one number of 8 bytes,
 * which may change while the process runs). Writing and reading stay as fast as they are: the cache of the system takes them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *late_ms;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("PARLOUR_SLOW");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *late_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) late_ms = at;
    close(fd);
}

static void wait_for_it(void) {
    int64_t ms = late_ms ? *late_ms : 0;
    struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
    while (ms > 0 && nanosleep(&left, &left)) continue;
}

int fsync(int fd) {
    wait_for_it();
    return real_fsync(fd);
}

int fdatasync(int fd) {
    wait_for_it();
    return real_fdatasync(fd);
}
