/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line that process lists show. Only a re-executed child, and what it forks, may change
 * it, since its arguments are not read: {executable, name with much padding}, which lie one after
 * the other. An ordinary program's arguments are left alone.
 *
 * Where they lie is known from the C library, which passes argc and argv to constructors; where it
 * does not, the line stays as it is.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "os_posix.h"

#include <stdio.h>
#include <string.h>

static char *area;
static size_t area_size;

static void set_title(const char *name) {
    if (!area) return;
    size_t used = strnlen(name, area_size - 2);
    memcpy(area, name, used);
    memset(area + used, 0, area_size - used);
    /* what is not a 0 there tells Linux that the line has been rewritten and ends at the first 0 */
    area[area_size - 1] = ' ';
}

void cohort__name_show(const char *name) {
    cohort__thread_title(name);
    set_title(name);
}

#if defined(__GLIBC__) || defined(__APPLE__)
static int first_argc;
static char **first_argv;

__attribute__((constructor)) static void remember_arguments(int argc, char **argv) {
    first_argc = argc;
    first_argv = argv;
}

void cohort__title_take(void) {
    if (first_argc != 2 || first_argv[1] != first_argv[0] + strlen(first_argv[0]) + 1) return;
    char *name = first_argv[1];
    size_t padded = strlen(name), length = padded;
    while (length && name[length - 1] == ' ') --length;
    if (length == padded) return; /* not our padding */
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    area = first_argv[0];
    area_size = (size_t)(name + padded + 1 - area);
    cohort__name_show(text);
}
#else
void cohort__title_take(void) {}
#endif
