/*
 * A library for LD_PRELOAD that records what a process does to the files below the folder $RECORDED, in the order in which it happens: every
 * name, write, cut and sync, by inode, appended to the file $RECORD. tests/gpu/power/disk.rs reads it.
 *
 *   N folder inode kind name    a new file (f) or folder (d)
 *   U folder name               a name is removed
 *   R folder folder inode other name / name
 *                               a name moves to the second folder; other: the inode that the first name has now, or 0
 *   W inode offset length       followed by the bytes
 *   T inode length              a cut
 *   S inode                     a sync of a file or folder
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 1 << 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int record = -1;
static dev_t device;
static ino_t known[MOST];
static int count;

static int is_known(ino_t inode) {
  for (int index = 0; index < count; index++)
    if (known[index] == inode) return 1;
  return 0;
}

static void add(ino_t inode) {
  if (is_known(inode)) return;
  if (count == MOST) abort();
  known[count++] = inode;
}

static void forget(ino_t inode) {
  for (int index = 0; index < count; index++)
    if (known[index] == inode) known[index] = known[--count];
}

/* Appends a record in one call, so that records of several processes do not mix. */
static void put(const void *bytes, size_t length, const char *format, ...) {
  char head[2 * NAME_MAX + 200];
  va_list arguments;
  va_start(arguments, format);
  int written = vsnprintf(head, sizeof head, format, arguments);
  va_end(arguments);
  struct iovec parts[2] = {{head, (size_t)written}, {(void *)bytes, length}};
  if (syscall(SYS_writev, record, parts, length ? 2 : 1) != (long)(written + length)) abort();
}

/* The inodes below a folder. */
static void walk(const char *path) {
  struct stat about;
  if (lstat(path, &about)) return;
  add(about.st_ino);
  if (!S_ISDIR(about.st_mode)) return;
  DIR *folder = opendir(path);
  struct dirent *entry;
  while (folder && (entry = readdir(folder))) {
    char below[PATH_MAX];
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    walk(below);
  }
  if (folder) closedir(folder);
}

__attribute__((constructor)) static void begin(void) {
  const char *root = getenv("RECORDED"), *to = getenv("RECORD");
  struct stat about;
  if (!root || !to || stat(root, &about)) return;
  device = about.st_dev;
  walk(root);
  record = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* A name: its folder, and the file that has it, 0 if there is none. */
struct place {
  ino_t folder, inode;
  const char *name;
  int is_folder;
};

/* Finds the place of a path; returns 0 outside of the recorded folder. */
static int find(int at, const char *path, struct place *place) {
  char parent[PATH_MAX];
  struct stat about;
  const char *slash = strrchr(path, '/');
  place->name = slash ? slash + 1 : path;
  size_t length = slash ? (size_t)(slash - path) : 0;
  if (length >= sizeof parent) return 0;
  memcpy(parent, path, length);
  parent[length] = 0;
  if (fstatat(at, length ? parent : slash ? "/" : "", &about, length || slash ? 0 : AT_EMPTY_PATH)) return 0;
  if (about.st_dev != device || !is_known(about.st_ino)) return 0;
  place->folder = about.st_ino;
  int exists = !fstatat(at, path, &about, AT_SYMLINK_NOFOLLOW);
  place->inode = exists ? about.st_ino : 0;
  place->is_folder = exists && S_ISDIR(about.st_mode);
  return 1;
}

static ino_t inode_of(int file) {
  struct stat about;
  if (record < 0 || fstat(file, &about) || about.st_dev != device) return 0;
  return is_known(about.st_ino) ? about.st_ino : 0;
}

static int open_file(int at, const char *path, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  struct place before, after;
  int is_ours = record >= 0 && (flags & (O_CREAT | O_TRUNC)) && find(at, path, &before);
  int file = (int)syscall(SYS_openat, at, path, flags, mode);
  int error = errno;
  if (file >= 0 && is_ours && find(at, path, &after) && after.inode) {
    if (!before.inode) {
      add(after.inode);
      put(NULL, 0, "N %lu %lu f %s\n", after.folder, after.inode, after.name);
    } else if (flags & O_TRUNC) {
      put(NULL, 0, "T %lu 0\n", after.inode);
    }
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return file;
}

#define OPEN(name)                                    \
  int name(const char *path, int flags, ...) {        \
    va_list more;                                     \
    va_start(more, flags);                            \
    mode_t mode = va_arg(more, mode_t);               \
    va_end(more);                                     \
    return open_file(AT_FDCWD, path, flags, mode);    \
  }
#define OPENAT(name)                                  \
  int name(int at, const char *path, int flags, ...) {\
    va_list more;                                     \
    va_start(more, flags);                            \
    mode_t mode = va_arg(more, mode_t);               \
    va_end(more);                                     \
    return open_file(at, path, flags, mode);          \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* Records the `length` bytes before the position of a file. */
static void wrote(int file, ino_t inode, const struct iovec *parts, int number, size_t length, off_t end) {
  char *bytes = malloc(length ? length : 1), *to = bytes;
  size_t left = length;
  for (int index = 0; index < number && left; index++) {
    size_t some = parts[index].iov_len < left ? parts[index].iov_len : left;
    memcpy(to, parts[index].iov_base, some);
    to += some;
    left -= some;
  }
  put(bytes, length, "W %lu %ld %zu\n", inode, (long)(end - (off_t)length), length);
  free(bytes);
}

ssize_t writev(int file, const struct iovec *parts, int number) {
  pthread_mutex_lock(&lock);
  ino_t inode = inode_of(file);
  ssize_t written = syscall(SYS_writev, file, parts, number);
  int error = errno;
  if (inode && written > 0) wrote(file, inode, parts, number, (size_t)written, lseek(file, 0, SEEK_CUR));
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

ssize_t write(int file, const void *bytes, size_t length) {
  pthread_mutex_lock(&lock);
  int is_ours = inode_of(file) != 0;
  pthread_mutex_unlock(&lock);
  /* Pipes and sockets may block. */
  if (!is_ours) return syscall(SYS_write, file, bytes, length);
  struct iovec part = {(void *)bytes, length};
  return writev(file, &part, 1);
}

static ssize_t write_at(int file, const void *bytes, size_t length, off_t at) {
  pthread_mutex_lock(&lock);
  ino_t inode = inode_of(file);
  ssize_t written = syscall(SYS_pwrite64, file, bytes, length, at);
  int error = errno;
  struct iovec part = {(void *)bytes, length};
  if (inode && written > 0) wrote(file, inode, &part, 1, (size_t)written, at + written);
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) { return write_at(file, bytes, length, at); }
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) { return write_at(file, bytes, length, at); }

static int cut(int file, off_t length) {
  pthread_mutex_lock(&lock);
  ino_t inode = inode_of(file);
  int result = (int)syscall(SYS_ftruncate, file, length);
  int error = errno;
  if (inode && !result) put(NULL, 0, "T %lu %ld\n", inode, (long)length);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int ftruncate(int file, off_t length) { return cut(file, length); }
int ftruncate64(int file, off64_t length) { return cut(file, length); }

/* Nothing is written to the real disk: only the record counts. */
static int sync_file(int file) {
  pthread_mutex_lock(&lock);
  ino_t inode = inode_of(file);
  if (inode) put(NULL, 0, "S %lu\n", inode);
  pthread_mutex_unlock(&lock);
  return 0;
}

int fsync(int file) { return sync_file(file); }
int fdatasync(int file) { return sync_file(file); }

int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) {
  pthread_mutex_lock(&lock);
  struct place source, target, left;
  int is_ours = record >= 0 && find(at, from, &source) && find(to_at, to, &target);
  int result = (int)syscall(SYS_renameat2, at, from, to_at, to, flags);
  int error = errno;
  if (is_ours && !result) {
    ino_t other = find(at, from, &left) ? left.inode : 0;
    put(NULL, 0, "R %lu %lu %lu %lu %s / %s\n", source.folder, target.folder, source.inode, other, source.name, target.name);
    if (target.inode && !other) forget(target.inode);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int at, const char *from, int to_at, const char *to) { return renameat2(at, from, to_at, to, 0); }

int unlinkat(int at, const char *path, int flags) {
  pthread_mutex_lock(&lock);
  struct place place;
  int is_ours = record >= 0 && find(at, path, &place);
  int result = (int)syscall(SYS_unlinkat, at, path, flags);
  int error = errno;
  if (is_ours && !result) {
    put(NULL, 0, "U %lu %s\n", place.folder, place.name);
    forget(place.inode);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
  pthread_mutex_lock(&lock);
  struct place place;
  int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  int error = errno;
  if (record >= 0 && !result && find(AT_FDCWD, path, &place)) {
    add(place.inode);
    put(NULL, 0, "N %lu %lu d %s\n", place.folder, place.inode, place.name);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

/* The standard library copies files by write() where these fail. */
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
  errno = ENOSYS;
  return -1;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
  errno = ENOSYS;
  return -1;
}
