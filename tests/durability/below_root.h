/* For libraries that are preloaded into a process and mind the files below one folder, `root`. A source that includes
 * this defines SHIM before, the name that its complaints begin with.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[PATH_MAX];

static void fail(const char *what) {
    fprintf(stderr, SHIM ": %s: %s\n", what, strerror(errno));
    abort();
}

/* The rest of the open file's path after `root`: empty for the folder itself, else from its slash on. NULL for a file
 * that is elsewhere. It is written into `path`. */
static const char *below_root(int fd, char path[PATH_MAX]) {
    char self[64];
    size_t length = strlen(root);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(self, path, PATH_MAX - 1);
    if (n < 0) return NULL;
    path[n] = 0;
    if (strncmp(path, root, length) || (path[length] && path[length] != '/')) return NULL;
    return path + length;
}
