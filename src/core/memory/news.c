/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
#include "core/memory/news.h"

#include "core/memory/arena.h"

static uint32_t news_lap(uint64_t entry) { return (uint32_t)(entry >> 32); }

/* A writer that was overtaken by a whole lap leaves the place to the later entry; the readers that
 * missed its own have lost some. */
void cohort__news_add(const void *address) {
    cohort__news_t *news = &cohort__arena->news;
    uint64_t position = atomic_fetch_add(&news->count, 1);
    _Atomic uint64_t *place = &news->entries[position % COHORT__NEWS_MOST];
    uint32_t lap = (uint32_t)(position + 1);
    uint64_t entry = (uint64_t)lap << 32 | cohort__news_key(address);
    uint64_t old = atomic_load(place);
    while ((old == 0 || (int32_t)(news_lap(old) - lap) < 0) &&
           !atomic_compare_exchange_weak(place, &old, entry)) {
    }
}

uint64_t cohort__news_end(void) { return atomic_load(&cohort__arena->news.count); }

bool cohort__news_read(uint64_t *cursor, void (*found)(void *arg, uint32_t key), void *arg) {
    cohort__news_t *news = &cohort__arena->news;
    uint64_t end = atomic_load(&news->count), next = end;
    bool lost = end - *cursor > COHORT__NEWS_MOST;
    for (uint64_t position = *cursor; !lost && position != end; position++) {
        uint64_t entry = atomic_load(&news->entries[position % COHORT__NEWS_MOST]);
        int32_t ahead = entry ? (int32_t)(news_lap(entry) - (uint32_t)(position + 1)) : -1;
        if (ahead > 0) lost = true;
        else if (ahead == 0) found(arg, (uint32_t)entry);
        else if (next == end) next = position; /* the first that is missing */
    }
    *cursor = lost ? end : next;
    return !lost;
}
