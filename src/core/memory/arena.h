/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* The one shared arena of a cohort: what lies where in it. Each table is address space until it is
 * used. */
#ifndef COHORT_CORE_ARENA_H
#define COHORT_CORE_ARENA_H

#include "core/memory/alloc.h"
#include "core/memory/lock.h"
#include "core/memory/news.h"

#define COHORT__MODULES_MAX 256u
#define COHORT__PARCELS_MAX 1024u /* what is on its way between processes (process/parcel.c) */
#define COHORT__PARCEL_SIZE 192u
/* in which memory of the arena is made usable, and tables begin */
#define COHORT__GRANULE   ((uint64_t)65536)
#define COHORT__ENDED_LOG 1024

typedef struct cohort__arena_t {
    uint64_t magic;
    uint32_t version;
    uint32_t dump; /* what is used of the arena is in its processes' core dumps */
    uint64_t size;
    _Atomic cohort__pid_t root;
    _Atomic uint32_t processes;  /* slots ever used */
    _Atomic uint32_t next_slot;  /* where the search for a free one goes on */
    _Atomic uint32_t free_slots; /* about how many there are */
    _Atomic uint32_t threads;    /* records ever used */
    _Atomic uint32_t modules;    /* ever seen */
    /* counts deaths, and what came of each: it changes when there is something to look at */
    _Atomic uint32_t death;
    /* any process ended, any result became ready: what wait-any sleeps on */
    cohort__eventcount_t completed;
    cohort__guard_t tables; /* new processes, threads, modules; growing */
    /* the log of results that have ended and were followed, see pool_completed.c */
    _Atomic uint64_t ended_next, ended[COHORT__ENDED_LOG];
    uint64_t process_offset, thread_offset, module_offset, parcel_offset, heap_offset;
    _Atomic uint32_t parcels; /* of the table, that can be used: none before the first is sent */
    _Atomic uint32_t regions; /* there are no more than so many (object/region.c) */
    _Atomic uint32_t next_parcel; /* where the search for a free one begins */
    cohort__news_t news;          /* what of the threads' shared event counts was notified */
} cohort__arena_t;
_Static_assert(sizeof(cohort__arena_t) <= COHORT__GRANULE, "it is made usable as one granule");

/* The header, NULL while this process is not in a cohort. */
extern COHORT__HIDDEN cohort__arena_t *cohort__arena;
extern COHORT__HIDDEN cohort_os_arena_t cohort__map;

/* A process that has its arena dumped must learn of memory that others have made usable: called
 * at its beginning, and whenever it has waited. */
void cohort__arena_dump(void);
/* The arena is let go of. */
void cohort__arena_dump_nothing(void);
/* Make [at, at + size) of the arena usable. */
apr_status_t cohort__arena_commit(const void *at, size_t size);
/* The handle by which a process that is executed maps the arena, had again if this program has
 * closed it. */
apr_status_t cohort__arena_handle(cohort_os_handle_t *handle);
/* Around a fork: no other thread is at that. In the copy, reset instead of unlock. */
void cohort__arena_handle_lock(void);
void cohort__arena_handle_unlock(void);
void cohort__arena_handle_reset(void);

#endif
