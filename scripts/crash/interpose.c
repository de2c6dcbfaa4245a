/* Ends a process by SIGKILL at one of its own operations on files, or lets all of them fail from one
 * on as if the disk were full. Loaded with LD_PRELOAD; the environment says where:
 *   CRASH_AT=n      before the n-th operation that changes a file, or after it with CRASH_AFTER=1
 *   FULL_AT=n       the n-th and all later writes, creations and renames answer "no space left"
 *   CRASH_LOG=path  one line an operation, by which the driver counts them
 * Operations are counted over all threads, in the order in which they begin.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long begun, crash_at = -1, full_at = -1;
static int crash_after, log_file = -1;

#define ORIGINAL(name) \
    static __typeof__(&name) original; \
    if (!original) original = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void read_environment(void) {
    const char *value;
    if ((value = getenv("CRASH_AT"))) crash_at = atol(value);
    if ((value = getenv("CRASH_AFTER"))) crash_after = atoi(value);
    if ((value = getenv("FULL_AT"))) full_at = atol(value);
    if ((value = getenv("CRASH_LOG"))) {
        ORIGINAL(open);
        log_file = original(value, O_WRONLY | O_CREAT | O_APPEND, 0666);
    }
}

/* Counts an operation; nonzero when it must fail. */
static int begin(const char *what, const char *of, long *number) {
    *number = __sync_add_and_fetch(&begun, 1);
    if (log_file >= 0) {
        char line[512];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", *number, what, of);
        ORIGINAL(write);
        if (original(log_file, line, length > 511 ? 511 : length) < 0) abort();
    }
    if (*number == crash_at && !crash_after) kill(getpid(), SIGKILL);
    return full_at >= 0 && *number >= full_at;
}

static void end(long number) {
    if (number == crash_at && crash_after) kill(getpid(), SIGKILL);
}

#define AROUND(what, of, call) \
    do { \
        long number; \
        if (begin(what, of, &number)) { errno = ENOSPC; return -1; } \
        __typeof__(call) result = call; \
        end(number); \
        return result; \
    } while (0)

ssize_t write(int file, const void *bytes, size_t length) {
    ORIGINAL(write);
    if (file <= 2) return original(file, bytes, length);
    AROUND("write", "", original(file, bytes, length));
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    ORIGINAL(writev);
    if (file <= 2) return original(file, parts, count);
    AROUND("writev", "", original(file, parts, count));
}

int fsync(int file) {
    ORIGINAL(fsync);
    AROUND("fsync", "", original(file));
}

int rename(const char *from, const char *to) {
    ORIGINAL(rename);
    AROUND("rename", to, original(from, to));
}

int renameat2(int in, const char *from, int out, const char *to, unsigned flags) {
    ORIGINAL(renameat2);
    AROUND("rename", to, original(in, from, out, to, flags));
}

int link(const char *from, const char *to) {
    ORIGINAL(link);
    AROUND("link", to, original(from, to));
}

int linkat(int in, const char *from, int out, const char *to, int flags) {
    ORIGINAL(linkat);
    AROUND("link", to, original(in, from, out, to, flags));
}

int unlink(const char *path) {
    ORIGINAL(unlink);
    AROUND("unlink", path, original(path));
}

int unlinkat(int in, const char *path, int flags) {
    ORIGINAL(unlinkat);
    AROUND("unlink", path, original(in, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    ORIGINAL(mkdir);
    AROUND("mkdir", path, original(path, mode));
}

int open64(const char *path, int flags, ...) {
    ORIGINAL(open64);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    if (!(flags & (O_CREAT | O_TRUNC))) return original(path, flags, mode);
    AROUND("open", path, original(path, flags, mode));
}
