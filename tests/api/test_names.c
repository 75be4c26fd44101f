/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Names: the defaults, renaming, and what the system's process lists show. */
#include "facts.h"
#include "parties.h"

typedef struct {
    cohort_event_t *there, *go;
    char *text;
    const char *expected;
    int depth;
} args_t;

static args_t new_args(void) {
    args_t a = {.text = party_memory(256)};
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&a.there, test_pool()));
    CHECK_STATUS(APR_SUCCESS, cohort_event_create(&a.go, test_pool()));
    return a;
}

static cohort_process_t *make_named(cohort_target_t target, const char *name, const args_t *a) {
    cohort_process_options_t options = {.name = name, .lifetime = COHORT_LIFETIME_DAEMON};
    cohort_process_t *process = NULL;
    CHECK_STATUS(APR_SUCCESS,
                 cohort_process_create(&process, target, a, a ? sizeof *a : 0, &options, NULL));
    return process;
}

static int check_nested(void *data) {
    args_t *a = data, below = *a;
    static const char *const expected[] = {"", "Process-2", "Process-2:1", "Process-2:1:1"};
    check_name(expected[a->depth], cohort_process_current());
    below.depth++;
    if (below.depth <= 3) party_finish(party_start(check_nested, &below, sizeof below));
    return 0;
}

static void default_names(void) {
    args_t a = {.depth = 1};
    check_name("MainProcess", cohort_process_current());
    cohort_process_t *first = make_named(nothing, NULL, NULL);
    cohort_process_t *second = make_named(check_nested, NULL, &a);
    cohort_process_t *named = make_named(nothing, "a name does not stop the count", NULL);
    cohort_process_t *last = make_named(nothing, NULL, NULL);
    check_name("Process-1", first);
    check_name("Process-2", second);
    check_name("a name does not stop the count", named);
    check_name("Process-4", last);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(second));
    party_finish(second);
}

static void long_and_odd_names(void) {
    char text[200], name[64];
    memset(text, 'n', sizeof text - 1);
    text[sizeof text - 1] = 0;
    cohort_process_t *process = make_named(nothing, text, NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, sizeof name));
    CHECK_INT(63, strlen(name));
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, 5));
    CHECK_STR("nnnn", name);
    CHECK_STATUS(APR_SUCCESS, cohort_process_name(process, name, 1));
    CHECK_STR("", name);
    for (int byte = 1; byte < 256; byte++) {
        char one[] = {(char)byte, '%', 's', 0};
        CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(process, one));
        check_name(one, process);
    }
    CHECK_STATUS(APR_EINVAL, cohort_process_set_name(process, ""));
    CHECK_STATUS(APR_EINVAL, cohort_process_set_name(process, NULL));
    cohort_process_t *odd = make_named(nothing, "\x01\xff\n\x1b[2J%n%s", NULL);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(odd));
    party_finish(odd);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    party_finish(process);
}

static int tell_name_twice(void *data) {
    args_t *a = data;
    check_name("before", cohort_process_current());
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->go, COHORT_FOREVER));
    check_name("during", cohort_process_current());
    CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(cohort_process_current(), "by itself"));
    return 0;
}

static void renamed_at_any_time(void) {
    args_t a = new_args();
    cohort_process_t *process = make_named(tell_name_twice, "first", &a);
    CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(process, "before"));
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    check_name("before", process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(process, "during"));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    party_end(process, 0);
    check_name("by itself", process);
    CHECK_STATUS(APR_SUCCESS, cohort_process_destroy(process));
}

static int rename_others(void *data) {
    cohort_process_t *target = *(cohort_process_t **)data;
    for (int i = 0; i < 300; i++) {
        char name[64];
        CHECK_STATUS(APR_SUCCESS,
                     cohort_process_set_name(target, i % 2 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                                           : "bbbbbbbbbbbbbbbb"));
        CHECK_STATUS(APR_SUCCESS, cohort_process_name(target, name, sizeof name));
        size_t length = strlen(name);
        CHECK(length == 32 || length == 16);
        for (size_t k = 1; k < length; k++) CHECK_INT(name[0], name[k]);
    }
    return 0;
}

static void renaming_is_never_torn(void) {
    cohort_process_t *target = make_named(nothing, "bbbbbbbbbbbbbbbb", NULL), *renamers[4];
    parties_start(renamers, 4, rename_others, &target, sizeof target);
    parties_finish(renamers, 4);
}

/* ---- what the system shows ------------------------------------------------------------------ */

/* False: there is nothing to check. */
static bool check_shown(cohort_process_t *process, const char *name) {
    char shown[64], line[4096];
    int64_t pid = cohort_process_pid(process);
    if (!system_name(pid, shown, sizeof shown)) return false;
    size_t length = strlen(shown);
    CHECK(length == strlen(name) || length == 15); /* so many bytes Linux keeps */
    CHECK_INT(0, strncmp(name, shown, length));
    /* A forked copy shows its parent's command line, as every fork does. */
    if (strcmp(test_method(), "fork") != 0 && system_command_line(pid, line, sizeof line))
        CHECK_STR(name, line);
    return true;
}

static int show_names(void *data) {
    args_t *a = data;
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->go, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(a->go));
    CHECK_STATUS(APR_SUCCESS, cohort_process_set_name(cohort_process_current(),
                                                      "a new and longer name than the one before"));
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a->there));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a->go, COHORT_FOREVER));
    return 0;
}

static void shown_by_the_system(void) {
    args_t a = new_args();
    cohort_process_t *process = make_named(show_names, "worker of the night", &a);
    CHECK_STATUS(APR_SUCCESS, cohort_process_start(process));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    CHECK_STATUS(APR_SUCCESS, cohort_event_clear(a.there));
    bool shown = check_shown(process, "worker of the night");
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    CHECK_STATUS(APR_SUCCESS, cohort_event_wait(a.there, COHORT_FOREVER));
    (void)check_shown(process, "a new and longer name than the one before");
    CHECK_STATUS(APR_SUCCESS, cohort_event_set(a.go));
    party_finish(process);
    if (!shown) SKIP("this system shows names nowhere that a program could read them");
}

const test_case_t names_cases[] = {
    {"Names", "default_names", default_names},
    {"Names", "long_and_odd_names", long_and_odd_names},
    {"Names", "renamed_at_any_time", renamed_at_any_time},
    {"Names", "renaming_is_never_torn", renaming_is_never_torn},
    {"Names", "shown_by_the_system", shown_by_the_system},
    {0},
};
