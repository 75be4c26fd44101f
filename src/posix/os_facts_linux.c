/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is particular to Linux.
 *
 * The birth of a process is the inode number of its process descriptor where those have a file
 * system of their own (Linux 6.9 and newer: the number is never used twice), else the start time in
 * /proc. The two kinds are told apart by a bit, so that processes which cannot use the same means
 * (a sandbox) never take each other for dead.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#define PIDFS_MAGIC_NUMBER 0x50494446
#define BY_DESCRIPTOR 3 /* P_PIDFD */
#define TO_GROUP 4u     /* PIDFD_SIGNAL_PROCESS_GROUP */

/* ---- small files ---------------------------------------------------------------------------- */

static ssize_t read_text(const char *path, char *buffer, size_t size) {
    int fd;
    COHORT__RETRY(fd, open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0) return -1;
    size_t total = cohort__read_all(fd, buffer, size - 1);
    close(fd);
    buffer[total] = 0;
    return (ssize_t)total;
}

/* ---- processes ------------------------------------------------------------------------------ */

/* 1; 0 when there is nothing to read, -1 when it is not understood. */
static int read_stat(int64_t pid, char *state, long *threads, unsigned long long *started) {
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    char *after = strrchr(text, ')'); /* the name before may hold anything */
    return after &&
                   sscanf(
                       after + 1,
                       " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %*s %llu",
                       state, threads, started) == 3
               ? 1
               : -1;
}

/* The first thread stays, as a zombie, when it ends before others do. */
int cohort__threads(void) {
    char state;
    long threads;
    unsigned long long started;
    if (read_stat(getpid(), &state, &threads, &started) != 1) return 0;
    return (int)threads - (state == 'Z');
}

bool cohort__is_first_thread(void) { return (pid_t)syscall(SYS_gettid) == getpid(); }

static cohort__life_t life_from_proc(int64_t pid, uint64_t *birth) {
    char state = 0;
    long threads = 0;
    unsigned long long started = 0;
    int got = read_stat(pid, &state, &threads, &started);
    if (got < 0) return COHORT__UNKNOWN;
    if (got == 0)
        return kill((pid_t)pid, 0) == 0 || errno != ESRCH ? COHORT__UNKNOWN : COHORT__GONE;
    *birth = (uint64_t)started + 2; /* neither 0 nor COHORT__BIRTH_GONE */
    /* the first thread may be gone while others run */
    if (state == 'X' || (state == 'Z' && threads <= 1)) return COHORT__ENDED;
    return COHORT__RUNS;
}

#ifdef COHORT_NO_PIDFD

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) { return life_from_proc(pid, birth); }

int cohort__life_open(int64_t pid, uint64_t *birth) {
    (void)pid, (void)birth;
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    (void)fd, (void)info, (void)options;
    errno = EINVAL;
    return -1;
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    (void)process, (void)signal;
    errno = ENOSYS;
    return -1;
}

int cohort__signal_group(int fd, cohort_os_id_t leader, int signal) {
    (void)fd, (void)leader, (void)signal;
    errno = ENOSYS;
    return -1;
}

#else

/* Closes on exec by itself. A kernel (or a tool that plays one) without the call is asked once. */
static int open_pidfd(int64_t pid) {
    static _Atomic bool absent;
    if (atomic_load(&absent)) {
        errno = ENOSYS;
        return -1;
    }
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 && errno == ENOSYS) atomic_store(&absent, true);
    return fd;
}

/* The birth by the inode, 0 when descriptors of processes have no file system of their own. */
static uint64_t inode_birth(int fd) {
    static _Atomic int own_file_system; /* 0 = not known yet, 1 = yes, -1 = no */
    struct statfs system;
    struct stat facts;
    /* fstat() has its own in a page that a forked child has not touched yet */
    const char nothing[] = "";
    if (atomic_load(&own_file_system) == 0 && fstatfs(fd, &system) == 0)
        atomic_store(&own_file_system, system.f_type == PIDFS_MAGIC_NUMBER ? 1 : -1);
    if (atomic_load(&own_file_system) != 1 || fstatat(fd, nothing, &facts, AT_EMPTY_PATH) != 0)
        return 0;
    return COHORT__BIRTH_INODE | (uint64_t)facts.st_ino;
}

static bool has_ended(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

cohort__life_t cohort__life(int64_t pid, uint64_t *birth) {
    int fd = open_pidfd(pid);
    if (fd < 0) {
        /* the latter: a thread has that number now */
        if (errno == ESRCH || errno == EINVAL || errno == ENOENT) return COHORT__GONE;
        return life_from_proc(pid, birth);
    }
    uint64_t inode = inode_birth(fd);
    cohort__life_t life = has_ended(fd) ? COHORT__ENDED : COHORT__RUNS;
    close(fd);
    if (!inode) return life_from_proc(pid, birth);
    *birth = inode;
    return life;
}

int cohort__life_open(int64_t pid, uint64_t *birth) {
    int fd = open_pidfd(pid);
    if (fd >= 0 && fd <= 2) fd = cohort__fd_safe(fd);
    if (fd < 0) return -1;
    *birth = inode_birth(fd);
    if (*birth || life_from_proc(pid, birth) != COHORT__GONE) return fd;
    close(fd);
    return -1;
}

int cohort__wait_exact(int fd, siginfo_t *info, int options) {
    return waitid((idtype_t)BY_DESCRIPTOR, (id_t)fd, info, options);
}

static bool is_exactly(int fd, cohort_os_id_t process) {
    uint64_t birth = inode_birth(fd);
    /* asked after opening: then it is the same */
    if (!birth || !(process.birth & COHORT__BIRTH_INODE)) return cohort_os_alive(process);
    return birth == process.birth && !has_ended(fd);
}

int cohort__signal_exact(cohort_os_id_t process, int signal) {
    int fd = open_pidfd(process.pid), result = -1, error = ESRCH;
    if (fd < 0) {
        if (errno != ESRCH && errno != EINVAL && errno != ENOENT) errno = ENOSYS;
        else errno = ESRCH;
        return -1;
    }
    if (is_exactly(fd, process)) {
        result = (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
        error = errno;
    }
    close(fd);
    errno = error;
    return result;
}

/* Linux 6.9. Which one is not reaped by its parent, or has been, makes no difference. */
int cohort__signal_group(int fd, cohort_os_id_t leader, int signal) {
    /* somebody may have closed the descriptor, and have another one there */
    uint64_t birth = fd >= 0 ? inode_birth(fd) : 0;
    if (birth && birth == leader.birth)
        return (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, TO_GROUP);
    errno = ENOSYS;
    return -1;
}

#endif

/* ---- files ---------------------------------------------------------------------------------- */

int cohort__file_of(int64_t pid, int number) {
    char path[64];
    int fd;
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)pid, number);
    COHORT__RETRY(fd, open(path, O_RDWR | O_CLOEXEC));
    return fd;
}

/* The end of the mapping that begins there; 0: there is none. */
static unsigned long mapping_end(unsigned long begin) {
    FILE *maps = fopen("/proc/thread-self/maps", "re");
    char line[512];
    unsigned long from = 0, to = 0;
    while (maps && from != begin && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &from, &to) != 2) from = 0;
    if (maps) fclose(maps);
    return from == begin ? to : 0;
}

/* Only for root. The directory is not among those of a thread under /proc/thread-self, and the one
 * under /proc/self is gone when the first thread has ended. */
int cohort__file_mapped(const void *at) {
    char path[96];
    unsigned long begin = (unsigned long)(uintptr_t)at;
    int fd;
    snprintf(path, sizeof path, "/proc/%ld/map_files/%lx-%lx", (long)syscall(SYS_gettid), begin,
             mapping_end(begin));
    COHORT__RETRY(fd, open(path, O_RDWR | O_CLOEXEC));
    return fd;
}

/* ---- memory --------------------------------------------------------------------------------- */

const uint64_t cohort__arena_bases[] = {0x2000000000u, 0x200000000000u, 0};

uint64_t cohort__arena_limit(uint64_t base) {
    return base < 0x8000000000u ? 0x8000000000u : 0x600000000000u;
}

uint64_t cohort__address_space_used(void) {
    char text[128];
    if (read_text("/proc/self/statm", text, sizeof text) <= 0) return 0;
    return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t cohort__memory_size(void) {
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Told by a page of its own: of one that is locked the caches cannot be dropped. */
bool cohort__locks_new_memory(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return errno == EAGAIN;
    bool locked = msync(page, size, MS_ASYNC | MS_INVALIDATE) != 0 && errno == EBUSY;
    munmap(page, size);
    return locked;
}

/* The limit of locked memory is asked only about mappings that are locked, and so is what is to
 * become real at once. */
void *cohort__grow_unlocked(void *at, size_t mapped, size_t size) {
    if (munlock(at, mapped) == 0 && mremap(at, mapped, size, 0) == at) {
#ifdef MLOCK_ONFAULT
        (void)syscall(SYS_mlock2, at, size, MLOCK_ONFAULT);
#endif
        return at;
    }
    int error = errno;
    munmap(at, mapped);
    errno = error;
    return MAP_FAILED;
}

/* ---- start ---------------------------------------------------------------------------------- */

/* The first thread has no file any more when it has ended before others. */
static const char *own_link(void) {
    static const char own[] = "/proc/self/exe";
    char byte;
    return readlink(own, &byte, 1) < 0 ? "/proc/thread-self/exe" : own;
}

static bool is_same_file(const char *one, const char *other) {
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* What there is to be known of the program from its own image: which loader it asks for, and an
 * address in it. */
typedef struct {
    const char *loader;
    uintptr_t address;
} image_t;

static int look_at_image(struct dl_phdr_info *info, size_t size, void *given) {
    image_t *image = given;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_INTERP)
            image->loader = (const char *)(info->dlpi_addr + segment->p_vaddr);
        if (segment->p_type == PT_LOAD && !image->address)
            image->address = info->dlpi_addr + segment->p_vaddr;
    }
    return 1; /* the program is the first */
}

/* The file that is mapped at this address. */
static bool file_at(uintptr_t address, char *path, size_t size) {
    char line[COHORT_OS_PATH_MAX + 128];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        int name = 0;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &name) < 2 ||
            !name)
            continue;
        line[strcspn(line, "\n")] = 0;
        found = address >= from && address < to && line[name] == '/' && strlen(line + name) < size;
        if (found) strcpy(path, line + name);
    }
    if (maps) fclose(maps);
    return found;
}

/* Run as "ld.so program", the kernel takes the loader for the executable. The program itself says
 * what it is: executed again, it is loaded by the loader that it asks for. */
static apr_status_t behind_loader(char *path, size_t size) {
    static _Atomic bool direct; /* as has been seen; that does not change */
    image_t image = {NULL, 0};
    if (atomic_load(&direct)) return APR_SUCCESS;
    dl_iterate_phdr(look_at_image, &image);
    if (!image.loader || !is_same_file(own_link(), image.loader)) {
        atomic_store(&direct, true);
        return APR_SUCCESS;
    }
    if (file_at(image.address, path, size) && access(path, X_OK) == 0) return APR_SUCCESS;
    return cohort__fail(ENOENT,
                        "finding the program that %s has loaded; name it with cohort_set_start()",
                        image.loader);
}

/* Without /proc: by what the kernel has been given to execute, when that does not depend on where
 * the process was then. */
static apr_status_t by_name(char *path, size_t size) {
    int error = errno;
    const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    if (!name || name[0] != '/' || strlen(name) >= size || access(name, X_OK) != 0) {
        return cohort__fail(
            error,
            "reading %s, so that this program can be executed again; mount /proc, or name the program with cohort_set_start()",
            own_link());
    }
    strcpy(path, name);
    return APR_SUCCESS;
}

/* Of a file that was removed or replaced, and of one that is really called so; the link itself
 * leads to the right one. (Tools that run a program within their own, as valgrind, give the right
 * name, and a link to themselves.) */
static bool is_marked(const char *path) {
    static const char mark[] = " (deleted)";
    size_t length = strlen(path);
    return length >= sizeof mark - 1 && strcmp(path + length - (sizeof mark - 1), mark) == 0;
}

/* The name of the file is nicer to see in process lists than "exe". */
apr_status_t cohort__own_executable(char *path, size_t size) {
    struct stat facts;
    const char *link = own_link();
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return by_name(path, size);
    path[length] = 0;
    if (is_marked(path) ? !is_same_file(path, link) : stat(path, &facts) != 0) strcpy(path, link);
    return behind_loader(path, size);
}

/* By the kernel's word at exec: set-user-id, set-group-id, capabilities of the file, or what a
 * security module calls so. */
bool cohort_os_privileged(void) { return getauxval(AT_SECURE) != 0; }

/* The C library would ask all other threads to do the same, which the child of a vfork shares with
 * its parent. */
int cohort__change_user(uid_t user) { return (int)syscall(SYS_setresuid, user, user, user); }
int cohort__change_group(gid_t group) { return (int)syscall(SYS_setresgid, group, group, group); }

/* The kernel notes in each of a pair which process made it. Where a sandbox allows no sockets, the
 * child reads /proc. */
void cohort__witness_create(cohort_os_handle_t witness[2]) {
    int raw[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw) != 0) return;
    witness[0] = raw[0];
    witness[1] = raw[1];
    if (raw[0] > 2 && raw[1] > 2) return;
    if (cohort__fd_pair(raw, &witness[0], &witness[1]) != APR_SUCCESS)
        witness[0] = witness[1] = COHORT_OS_NONE;
}

static bool user_from_proc(int64_t pid, uid_t *user) {
    char path[40], text[4096];
    unsigned effective;
    snprintf(path, sizeof path, "/proc/%lld/status", (long long)pid);
    if (read_text(path, text, sizeof text) <= 0) return false;
    const char *line = strstr(text, "\nUid:");
    if (!line || sscanf(line + 5, "%*u %u", &effective) != 1) return false;
    *user = effective;
    return true;
}

bool cohort__parent_user(int witness, int64_t parent, uid_t *user) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (witness < 0) return user_from_proc(parent, user);
    if (getsockopt(witness, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer ||
        peer.pid != parent)
        return false;
    *user = peer.uid;
    return true;
}

bool cohort_os_fork_is_default(void) { return true; }

char ***cohort__environment(void) {
    extern char **environ;
    return &environ;
}

/* The size of the table as it is; else what it may be, but for descriptors from before the limit
 * was lowered. */
int cohort__files_bound(void) {
    char text[4096];
    const char *line = read_text("/proc/thread-self/status", text, sizeof text) > 0
                           ? strstr(text, "\nFDSize:")
                           : NULL;
    struct rlimit limit;
    if (line) return (int)strtol(line + 8, NULL, 10);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1 << 20) return 1 << 20;
    return (int)limit.rlim_cur;
}

/* ---- CPUs ----------------------------------------------------------------------------------- */

size_t cohort__affinity_get(int64_t tid, void *set, size_t size) {
    /* the bytes that the kernel has */
    long used = syscall(SYS_sched_getaffinity, (pid_t)tid, size, set);
    return used > 0 ? (size_t)used : 0;
}

int cohort__affinity_count(void) {
    unsigned char set[1024];
    size_t used = cohort__affinity_get(0, set, sizeof set);
    int count = 0;
    for (size_t i = 0; i < used; ++i) count += __builtin_popcount(set[i]);
    return count;
}

/* Two share one CPU, so with at most as many threads that can run as this one may use CPUs, one
 * of these is idle. */
bool cohort_os_cpu_is_idle(void) {
    char text[128];
    int allowed = cohort__affinity_count(), running;
    if (allowed < 2 || read_text("/proc/loadavg", text, sizeof text) <= 0) return false;
    return sscanf(text, "%*s %*s %*s %d/", &running) == 1 && running <= allowed;
}

static int rounded_up(double quota, double period) {
    if (quota <= 0 || period <= 0) return 0;
    int count = (int)(quota / period);
    return count * period < quota ? count + 1 : count;
}

static int smaller(int a, int b) { return a == 0 || (b != 0 && b < a) ? b : a; }

static int quota_v2(const char *directory) {
    char path[COHORT_OS_PATH_MAX + 32], text[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", directory);
    /* "max" is no number */
    if (read_text(path, text, sizeof text) <= 0 || sscanf(text, "%lf %lf", &quota, &period) != 2)
        return 0;
    return rounded_up(quota, period);
}

static int quota_v1(const char *directory) {
    char path[COHORT_OS_PATH_MAX + 32], text[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    double quota = strtod(text, NULL);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    return rounded_up(quota, strtod(text, NULL));
}

/* The smallest on the way from the group up to the root of what is mounted. */
static int quota_upwards(const char *root, const char *group, int (*quota)(const char *directory)) {
    char directory[COHORT_OS_PATH_MAX];
    int best = 0;
    size_t stop = strlen(root);
    if (snprintf(directory, sizeof directory, "%s%s", root, group) >= (int)sizeof directory)
        return 0;
    for (;;) {
        best = smaller(best, quota(directory));
        char *slash = strrchr(directory + stop, '/');
        if (!slash) return best;
        *slash = 0;
    }
}

static bool lists(const char *controllers, size_t length, const char *wanted) {
    const char *found = strstr(controllers, wanted);
    size_t size = strlen(wanted);
    return found && found + size <= controllers + length &&
           (found == controllers || found[-1] == ',') && (found[size] == ',' || found[size] == ':');
}

int cohort__cpu_quota(void) {
    char text[4096], *rest = text;
    int best = 0;
    if (read_text("/proc/self/cgroup", text, sizeof text) <= 0) return 0;
    /* hierarchy:controllers:group */
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        char *controllers = strchr(line, ':'),
             *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        ++controllers;
        size_t length = (size_t)(group - controllers);
        if (length == 0) best = smaller(best, quota_upwards("/sys/fs/cgroup", group + 1, quota_v2));
        else if (lists(controllers, length, "cpu"))
            best = smaller(best, quota_upwards("/sys/fs/cgroup/cpu", group + 1, quota_v1));
    }
    return best;
}

int cohort_os_cpu(void) { return sched_getcpu(); }

/* ---- names ---------------------------------------------------------------------------------- */

/* Process lists show the name of the first thread. */
void cohort__thread_title(const char *name) {
    char text[16] = "";
    memcpy(text, name, strnlen(name, sizeof text - 1));
    if (syscall(SYS_gettid) == (long)getpid()) {
        prctl(PR_SET_NAME, text, 0, 0, 0);
        return;
    }
    int fd;
    ssize_t result;
    COHORT__RETRY(fd, open("/proc/self/comm", O_WRONLY | O_CLOEXEC));
    if (fd < 0) return;
    COHORT__RETRY(result, write(fd, text, strlen(text))); /* each write is a name of its own */
    close(fd);
}

/* ---- streams -------------------------------------------------------------------------------- */

void cohort__streams_purge(void) {
    __fpurge(stdout);
    __fpurge(stderr);
}
