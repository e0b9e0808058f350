/* What a power cut leaves of a folder: preloaded into a process, it keeps beside the folder an image of what has reached the disk.
 *
 * PARLOUR_POWER_FROM is the folder, PARLOUR_POWER_TO the image. What is written is in the image once fsync or fdatasync has been asked
 * for that file, with its length of then; nothing that was not. Names (rename, unlink) change at once, as on a journalling file system;
 * a file that takes another one's name without having been synced is empty there. What this cannot show: a disk that writes a part of
 * what was not synced, or that lies about what was. Memory maps are not seen (SQLite's shared memory, which is made anew). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FILES 512

struct range { off_t from, to; };
struct file { dev_t dev; ino_t ino; struct range *ranges; size_t count, room; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[MOST_FILES];
static size_t used;
static const char *from, *to;
static size_t from_len;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void start(void) {
    from = getenv("PARLOUR_POWER_FROM");
    to = getenv("PARLOUR_POWER_TO");
    from_len = from ? strlen(from) : 0;
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
}

/* Where a path of the folder is in the image. */
static int image_of(const char *path, char out[PATH_MAX]) {
    if (!from || !to || strncmp(path, from, from_len) || path[from_len] != '/') return 0;
    return snprintf(out, PATH_MAX, "%s%s", to, path + from_len) < PATH_MAX;
}

static int path_of(int fd, char out[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, PATH_MAX - 1);
    if (length <= 0) return 0;
    out[length] = 0;
    return 1;
}

/* What is known of a file, if it is in the folder and a plain one. */
static struct file *known(int fd) {
    struct stat stat;
    char path[PATH_MAX], image[PATH_MAX];
    if (!from || fstat(fd, &stat) || !S_ISREG(stat.st_mode)) return NULL;
    for (size_t at = 0; at < used; at++)
        if (files[at].dev == stat.st_dev && files[at].ino == stat.st_ino) return &files[at];
    if (!path_of(fd, path) || !image_of(path, image)) return NULL;
    if (used == MOST_FILES) abort();
    files[used] = (struct file){ .dev = stat.st_dev, .ino = stat.st_ino };
    return &files[used++];
}

static void written(int fd, off_t at, size_t length) {
    int before = errno;
    pthread_mutex_lock(&lock);
    struct file *file = known(fd);
    if (file) {
        struct range *last = file->count ? &file->ranges[file->count - 1] : NULL;
        if (last && last->to == at) {
            last->to = at + length;
        } else {
            if (file->count == file->room) {
                file->room = file->room ? 2 * file->room : 16;
                file->ranges = realloc(file->ranges, file->room * sizeof *file->ranges);
                if (!file->ranges) abort();
            }
            file->ranges[file->count++] = (struct range){ at, at + length };
        }
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

static void parents(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void synced(int fd) {
    char path[PATH_MAX], image[PATH_MAX], link[64];
    static char piece[1 << 16];
    pthread_mutex_lock(&lock);
    struct file *file = known(fd);
    struct stat stat;
    if (file && path_of(fd, path) && image_of(path, image) && !fstat(fd, &stat)) {
        parents(image);
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int in = open(link, O_RDONLY | O_CLOEXEC), out = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (in < 0 || out < 0) abort();
        for (size_t at = 0; at < file->count; at++) {
            struct range range = file->ranges[at];
            while (range.from < range.to) {
                size_t want = (size_t)(range.to - range.from) < sizeof piece ? (size_t)(range.to - range.from) : sizeof piece;
                ssize_t got = pread(in, piece, want, range.from);
                if (got <= 0) break;
                if (real_pwrite(out, piece, (size_t)got, range.from) != got) abort();
                range.from += got;
            }
        }
        file->count = 0;
        if (real_ftruncate(out, stat.st_size)) abort();
        close(in);
        close(out);
    }
    pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
    ssize_t done = real_pwrite(fd, bytes, length, at);
    if (done > 0) written(fd, at, (size_t)done);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t done = real_write(fd, bytes, length);
    if (done > 0 && from && fd > 2) {
        int before = errno;
        off_t end = lseek(fd, 0, SEEK_CUR);
        if (end >= done) written(fd, end - done, (size_t)done);
        errno = before;
    }
    return done;
}

int fsync(int fd) {
    synced(fd);
    return 0;
}

int fdatasync(int fd) { return fsync(fd); }

int rename(const char *old, const char *new) {
    char image_old[PATH_MAX], image_new[PATH_MAX];
    int done = real_rename(old, new);
    if (!done && image_of(old, image_old) && image_of(new, image_new)) {
        parents(image_new);
        if (real_rename(image_old, image_new)) {
            int empty = open(image_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (empty >= 0) close(empty);
        }
    }
    return done;
}

int unlink(const char *path) {
    char image[PATH_MAX];
    int done = real_unlink(path);
    if (!done && image_of(path, image)) real_unlink(image);
    return done;
}
