/* A disk that stalls and a clock that is wrong, preloaded into a process.
 *
 * MACHINE_SWITCHES names a file of two 64-bit numbers, which a test writes while the process runs. As long as the first
 * is not 0, whatever writes to or syncs a file below MACHINE_ROOT waits. The second is how many seconds the clock of the
 * day is ahead; clocks that only measure time are right.
 */
#define _GNU_SOURCE
#define SHIM "machine"
#include "../durability/below_root.h"
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#define LOOK_NS 5000000

static const volatile struct { int64_t stalls, ahead_s; } *switches;

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("MACHINE_ROOT"), *file = getenv("MACHINE_SWITCHES");
    if (!folder || !file) return;
    if (!realpath(folder, root)) fail(folder);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(file);
    void *mapped = mmap(NULL, sizeof *switches, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) fail(file);
    close(fd);
    switches = mapped;
}

static void wait_for_disk(int fd) {
    const struct timespec look = {0, LOOK_NS};
    char path[PATH_MAX];
    if (!switches || !switches->stalls || !below_root(fd, path)) return;
    while (switches->stalls) nanosleep(&look, NULL);
}

ssize_t write(int fd, const void *data, size_t size) {
    wait_for_disk(fd);
    return syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    wait_for_disk(fd);
    return syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    wait_for_disk(fd);
    return syscall(SYS_pwrite64, fd, data, size, at);
}

int ftruncate(int fd, off_t size) {
    wait_for_disk(fd);
    return syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size) {
    wait_for_disk(fd);
    return syscall(SYS_ftruncate, fd, size);
}

int fsync(int fd) {
    wait_for_disk(fd);
    return syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    wait_for_disk(fd);
    return syscall(SYS_fdatasync, fd);
}

static int64_t ahead_s(void) { return switches ? switches->ahead_s : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead_s();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed) now->tv_sec += ahead_s();
    return failed;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
