/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Read before everything else (-include) while APR 1.7 is compiled with mingw-w64. Its headers
 * differ from the Windows SDK's:
 *  - apr_private.h switches <wtypes.h> off by its guard's name, which mingw's <accctrl.h> does not
 *    survive: read it first;
 *  - apr_arch_misc.h wants declarations that only <iphlpapi.h> gives;
 *  - with GCC, apr_arch_atomic.h takes a Unix path that the Windows source list does not build; the
 *    builtins' path is the right one.
 */
#define HAVE_ATOMIC_BUILTINS   1
#define HAVE_ATOMIC_BUILTINS64 1
#ifndef FD_SETSIZE
#define FD_SETSIZE 1024 /* as APR's poll sources define it before <winsock2.h> */
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <winsock2.h>

#include <ws2tcpip.h>

#include <mswsock.h>

#include <windows.h>

#include <wtypes.h>

#include <iphlpapi.h>
