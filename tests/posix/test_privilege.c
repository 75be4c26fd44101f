/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs with rights that the user that runs them has not: set-user-id, set-group-id,
 * capabilities of the file. tests/actor/privilege.c plays both sides. It is built twice, the second
 * time without the look whether it is privileged: that one must be got into by the same boot block,
 * or the test would prove nothing.
 */
#include "../api/parties.h"
#include "system.h"

#ifndef TEST_PRIVILEGE

const test_case_t privilege_cases[] = {{0}};

#else

#include <apr_pools.h>
#include <endian.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOBODY    65534
#define CHECKED   TEST_PRIVILEGE
#define UNCHECKED TEST_PRIVILEGE "_unchecked"

/* ---- a directory with copies of the program ------------------------------------------------- */

static char directory[64];

static const char *in_directory(const char *name) {
    static char path[4][128];
    static unsigned turn;
    char *place = path[turn++ % 4];
    snprintf(place, sizeof path[0], "%s/%s", directory, name);
    return place;
}

static apr_status_t remove_directory(void *unused) {
    static const char *const names[] = {"log", "plain", "gifted"};
    (void)unused;
    for (int i = 0; i < 3; i++) unlink(in_directory(names[i]));
    return rmdir(directory);
}

static void make_directory(void) {
    struct statvfs facts;
    strcpy(directory, "/tmp/cohort-privilege-XXXXXX"); /* which all users can reach */
    CHECK(mkdtemp(directory) != NULL);
    apr_pool_cleanup_register(test_pool(), NULL, remove_directory, apr_pool_cleanup_null);
    if (statvfs(directory, &facts) || facts.f_flag & ST_NOSUID)
        SKIP("/tmp gives nobody other rights (nosuid)");
    CHECK_INT(0, chmod(directory, 0755));
    int log = open(in_directory("log"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    CHECK(log >= 0 && fchmod(log, 0666) == 0);
    close(log);
}

static void copy(const char *from, const char *name) {
    static char buffer[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC),
        out = open(in_directory(name), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755);
    ssize_t size;
    CHECK(in >= 0 && out >= 0);
    while ((size = read(in, buffer, sizeof buffer)) > 0)
        CHECK_INT(size, write(out, buffer, (size_t)size));
    CHECK_INT(0, fchmod(out, 0755));
    close(in);
    close(out);
}

/* What the copy "gifted" has been given, and which user runs the other one. */
typedef struct {
    const char *what;
    uid_t owner;
    gid_t group;
    mode_t mode;
    uint32_t capability; /* and this bit of capabilities */
    uid_t attacker;
} gift_t;

static const gift_t set_group_id = {"set-group-id", 0, 0, 02755, 0, NOBODY};
static const gift_t set_user_id = {"set-user-id", 0, 0, 04755, 0, NOBODY};
static const gift_t set_user_id_by_root = {
    "set-user-id to a user with fewer rights than root", NOBODY, NOBODY, 04755, 0, 0};
static const gift_t capable = {"capabilities of the file", 0,     0, 0755,
                               1u << CAP_NET_BIND_SERVICE, NOBODY};

static void give(const gift_t *gift) {
    struct vfs_cap_data data = {.magic_etc = htole32(VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE),
                                .data[0].permitted = htole32(gift->capability)};
    const char *path = in_directory("gifted");
    CHECK_INT(0, chown(path, gift->owner, gift->group));
    CHECK_INT(0, chmod(path, gift->mode));
    if (gift->capability && setxattr(path, "security.capability", &data, XATTR_CAPS_SZ_2, 0))
        SKIP("files have no capabilities here");
}

static void furnish(const char *program, const gift_t *gift) {
    if (geteuid() != 0) SKIP("only root can give a program rights");
    if (SANITIZED) SKIP("a sanitizer wants to read its environment");
    make_directory();
    copy(program, "plain");
    copy(program, "gifted");
    give(gift);
}

/* Run one of the copies as this user; what it and all that it starts has said. */
static const char *run(const char *name, uid_t user, const char *command, const char *argument) {
    static char text[4096];
    const char *path = in_directory(name);
    int status;
    CHECK_INT(0, truncate(in_directory("log"), 0));
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char *const env[] = {"COHORT_ARENA_SIZE=banana", "COHORT_GIFTS=0:1=out", "PATH=/nowhere",
                             NULL},
                    *const plain[] = {"PATH=/bin:/usr/bin", NULL};
        if (setgroups(0, NULL) || setgid(user) || setuid(user)) _exit(30);
        execve(path, (char *const[]){(char *)path, (char *)command, (char *)argument, NULL},
               strcmp(command, "lure") ? env : plain);
        _exit(31);
    }
    CHECK_INT(pid, waitpid(pid, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 20);
    int log = open(in_directory("log"), O_RDONLY | O_CLOEXEC);
    ssize_t size = read(log, text, sizeof text - 1);
    CHECK(size > 0);
    close(log);
    text[size] = 0;
    return text;
}

/* ---- getting in ----------------------------------------------------------------------------- */

static void check_lure(const char *program, const gift_t *gift, const char *expected) {
    furnish(program, gift);
    CHECK_STR(expected, run("plain", gift->attacker, "lure", in_directory("gifted")));
}

/* The attacker's main, the victim's main, and what came of it. */
#define KEPT_OUT  "main\nmain\nlured: COHORT_EPRIVILEGED\n"

static void once(void) {
    if (strcmp(test_method(), "spawn")) SKIP("there is no boot block in this method, or the same");
}

static void no_entry_by_set_group_id(void) { once(), check_lure(CHECKED, &set_group_id, KEPT_OUT); }
static void no_entry_by_set_user_id(void) { once(), check_lure(CHECKED, &set_user_id, KEPT_OUT); }
static void root_does_not_get_in_by_set_user_id(void) {
    once(), check_lure(CHECKED, &set_user_id_by_root, KEPT_OUT);
}
static void no_entry_by_capabilities(void) { once(), check_lure(CHECKED, &capable, KEPT_OUT); }

/* The order of the last two is the two processes' own. */
static void check_intruder(const gift_t *gift, const char *inside) {
    once();
    furnish(UNCHECKED, gift);
    const char *said = run("plain", gift->attacker, "lure", in_directory("gifted"));
    CHECK(strstr(said, inside) != NULL);
    CHECK(strstr(said, "lured: ok\n") != NULL);
    CHECK_INT(strlen("main\nmain\nlured: ok\n") + strlen(inside), strlen(said));
}

static void only_the_check_keeps_set_group_id_out(void) {
    check_intruder(&set_group_id, "inside: user 65534/65534, group 65534/0, secure 1\n");
}
static void only_the_check_keeps_capabilities_out(void) {
    check_intruder(&capable, "inside: user 65534/65534, group 65534/65534, secure 1\n");
}
static void only_the_check_keeps_root_out(void) {
    check_intruder(&set_user_id_by_root, "inside: user 0/65534, group 0/0, secure 1\n");
}

/* Here the parent and the arena are another user's, too. */
static void more_than_the_check_keeps_set_user_id_out(void) {
    once(), check_lure(UNCHECKED, &set_user_id, "main\nmain\nlured: COHORT_EUNTRUSTED\n");
}

/* The attacker itself, without any such right: its child does get in. */
static void plain_program_gets_its_children(void) {
    once();
    furnish(CHECKED, &set_group_id);
    const char *said = run("plain", NOBODY, "lure", in_directory("plain"));
    CHECK(strstr(said, "inside: user 65534/65534, group 65534/65534, secure 0\n") != NULL);
}

/* ---- starting ------------------------------------------------------------------------------- */

static const char started[] =
    "main\nmethod: ok\nchild\nprocess: ok, ended with 7\npool: ok, 81\nprogram: ok\n";
static const char refused[] =
    "main\nmethod: COHORT_EPRIVILEGED\nprocess: COHORT_EPRIVILEGED, no child\n"
    "pool: COHORT_EPRIVILEGED, no child\nprogram: ok\n";

/* Main is run once, by the user that started the program; and what the environment says of the
 * arena's size and of programs plays no part. */
static void check_starts(const gift_t *gift, const char *command) {
    furnish(CHECKED, gift);
    CHECK_STR("main\ninitialize: another status\n", run("plain", NOBODY, command, test_method()));
    CHECK_STR(strcmp(test_method(), "fork") ? refused : started,
              run("gifted", NOBODY, command, test_method()));
    CHECK_STR(started, run("gifted", NOBODY, command, "default"));
}

static void set_user_id_starts_by_fork_alone(void) { check_starts(&set_user_id, "start"); }
static void set_group_id_starts_by_fork_alone(void) { check_starts(&set_group_id, "start"); }
static void capabilities_start_by_fork_alone(void) { check_starts(&capable, "start"); }
static void rights_that_were_given_up_count(void) { check_starts(&set_user_id, "drop"); }

const test_case_t privilege_cases[] = {
    {"Privilege", "no_entry_by_set_group_id", no_entry_by_set_group_id},
    {"Privilege", "no_entry_by_set_user_id", no_entry_by_set_user_id},
    {"Privilege", "root_does_not_get_in_by_set_user_id", root_does_not_get_in_by_set_user_id},
    {"Privilege", "no_entry_by_capabilities", no_entry_by_capabilities},
    {"Privilege", "only_the_check_keeps_set_group_id_out", only_the_check_keeps_set_group_id_out},
    {"Privilege", "only_the_check_keeps_capabilities_out", only_the_check_keeps_capabilities_out},
    {"Privilege", "only_the_check_keeps_root_out", only_the_check_keeps_root_out},
    {"Privilege", "more_than_the_check_keeps_set_user_id_out",
     more_than_the_check_keeps_set_user_id_out},
    {"Privilege", "plain_program_gets_its_children", plain_program_gets_its_children},
    {"Privilege", "set_user_id_starts_by_fork_alone", set_user_id_starts_by_fork_alone},
    {"Privilege", "set_group_id_starts_by_fork_alone", set_group_id_starts_by_fork_alone},
    {"Privilege", "capabilities_start_by_fork_alone", capabilities_start_by_fork_alone},
    {"Privilege", "rights_that_were_given_up_count", rights_that_were_given_up_count},
    {0}};

#endif
