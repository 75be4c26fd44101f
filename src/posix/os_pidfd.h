/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Linux's calls for descriptors of processes: their numbers are the same on all machines, and not
 * each C library's headers have them. */
#ifndef COHORT_POSIX_PIDFD_H
#define COHORT_POSIX_PIDFD_H

#include <sys/syscall.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

#endif
