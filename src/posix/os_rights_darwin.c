/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Users and rights on macOS: whether executing this program gave it rights, as which user its
 * parent runs, and how the child of a vfork becomes another user. */
#include "os_posix.h"

#include <sys/sysctl.h>
#include <unistd.h>

/* Sampled as the program begins: later it also says so of a process that has changed its user
 * itself. */
static int privileged;

__attribute__((constructor)) static void note_privilege(void) { privileged = issetugid(); }

bool cohort__is_privileged(void) { return privileged != 0; }

int cohort__change_user(uid_t user) { return setreuid(user, user); }
int cohort__change_group(gid_t group) { return setregid(group, group); }

/* The kernel tells every process of each other. */
cohort_os_handle_t cohort__witness_take(bool *own) { return *own = false, COHORT_OS_NONE; }
void cohort__witness_forked(void) {}

bool cohort__parent_user(int witness, int64_t parent, uid_t *user) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)parent};
    (void)witness;
    if (sysctl(name, 4, &info, &size, NULL, 0) != 0 || size == 0) return false;
    *user = info.kp_eproc.e_ucred.cr_uid;
    return true;
}
