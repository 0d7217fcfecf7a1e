/* The disk as it would be found after power loss: preloaded into a process, keeps a second folder beside its data.
 *
 * POWERLOSS_ROOT is the data folder, flat; POWERLOSS_DISK the one that is kept. A file's content enters the disk when
 * the file is synced, its name when the file or the folder is; a name leaves the disk when the folder is synced. What
 * was written and not synced is not there. Killed in the middle of a sync, the disk holds a part of it, as a real one.
 *
 * Only syncs are watched: at each the whole file is compared and what differs is copied, so it does not matter which of
 * the many calls wrote it. The true sync is left out; a kill does not need it.
 */
#define _GNU_SOURCE
#define SHIM "powerloss"
#include "below_root.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CHUNK 65536
#define MOST_FILES 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int disk = -1;

/* Under which name each synced file stands on the disk: renamed or linked, it keeps what was synced. */
static struct { ino_t ino; char name[NAME_MAX + 1]; } synced[MOST_FILES];
static int synced_count;

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("POWERLOSS_ROOT"), *kept = getenv("POWERLOSS_DISK");
    if (!folder || !kept) return;
    if (!realpath(folder, root)) fail(folder);
    if ((disk = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) fail(kept);
}

static const char *synced_name(ino_t ino) {
    for (int i = 0; i < synced_count; i++)
        if (synced[i].ino == ino) return synced[i].name;
    return NULL;
}

/* The number of a removed file would be given to another one, which would pass for it. A handle keeps it; one that can
 * neither read nor write, since closing another would drop the process's locks. */
static void note_synced(ino_t ino, const char *name, const char *self) {
    int i = 0;
    while (i < synced_count && synced[i].ino != ino) i++;
    if (i == MOST_FILES) { errno = ENFILE; fail("too many files"); }
    if (i == synced_count) {
        synced_count++;
        if (open(self, O_PATH | O_CLOEXEC) < 0) fail(name);
    }
    synced[i].ino = ino;
    strcpy(synced[i].name, name);
}

static void copy(int from, int to, off_t size) {
    static char ours[CHUNK], theirs[CHUNK];
    for (off_t at = 0; at < size; at += CHUNK) {
        ssize_t n = pread(from, ours, CHUNK, at);
        if (n < 0) fail("read");
        ssize_t m = pread(to, theirs, CHUNK, at);
        if (m == n && !memcmp(ours, theirs, n)) continue;
        if (pwrite(to, ours, n, at) != n) fail("write");
    }
    if (ftruncate(to, size)) fail("truncate");
}

static void sync_file(int fd, const char *name, const struct stat *is) {
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    /* A descriptor of our own only where the given one can't be read: closing it would drop the process's locks. */
    int readable = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
    int from = readable ? fd : open(self, O_RDONLY | O_CLOEXEC);
    int to = openat(disk, name, O_RDWR | O_CREAT | O_CLOEXEC, is->st_mode & 07777);
    if (from < 0 || to < 0) fail(name);
    copy(from, to, is->st_size);
    close(to);
    if (!readable) close(from);
    note_synced(is->st_ino, name, self);
}

static void sync_folder(void) {
    struct dirent *entry;
    struct stat is;
    DIR *folder = opendir(root);
    if (!folder) fail(root);
    while ((entry = readdir(folder))) {
        if (entry->d_type != DT_REG || !faccessat(disk, entry->d_name, F_OK, 0)) continue;
        if (fstatat(dirfd(folder), entry->d_name, &is, 0)) continue;
        const char *before = synced_name(is.st_ino);
        if (before && !linkat(disk, before, disk, entry->d_name, 0)) continue;
        close(openat(disk, entry->d_name, O_WRONLY | O_CREAT | O_CLOEXEC, is.st_mode & 07777));
    }
    closedir(folder);
    DIR *kept = fdopendir(openat(disk, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!kept) fail("disk");
    int real = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while ((entry = readdir(kept)))
        if (entry->d_type == DT_REG && faccessat(real, entry->d_name, F_OK, 0)) unlinkat(disk, entry->d_name, 0);
    close(real);
    closedir(kept);
}

static int synchronize(int fd, int call) {
    char path[PATH_MAX];
    struct stat is;
    const char *name = disk < 0 ? NULL : below_root(fd, path);
    if (!name || fstat(fd, &is)) return syscall(call, fd);
    if (is.st_nlink == 0) return 0; /* Removed already: no name will ever lead to it. */
    if (*name && strchr(name + 1, '/')) { errno = ENOTSUP; fail(path); }
    pthread_mutex_lock(&lock);
    if (*name) sync_file(fd, name + 1, &is);
    else sync_folder();
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return synchronize(fd, SYS_fsync); }
int fdatasync(int fd) { return synchronize(fd, SYS_fdatasync); }
