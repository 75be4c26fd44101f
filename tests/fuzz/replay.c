/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on every file of a directory. An input that does not come to its end is the
 * test's to end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST 60 /* seconds for one input */
#define LARGEST (1 << 16)

static int run(const char *path) {
    uint8_t *bytes = malloc(LARGEST);
    FILE *file = fopen(path, "rb");
    if (!file || !bytes) return 0;
    size_t size = fread(bytes, 1, LARGEST, file);
    uint8_t *exact = malloc(size ? size : 1); /* so that a tool sees what is read behind it */
    for (size_t i = 0; i < size; i++) exact[i] = bytes[i];
    fclose(file);
    free(bytes);
    alarm(LONGEST);
    LLVMFuzzerTestOneInput(exact, size);
    alarm(0);
    free(exact);
    return 1;
}

int main(int argc, char **argv) {
    DIR *directory = argc > 1 ? opendir(argv[1]) : NULL;
    int inputs = 0;
    if (!directory) return EXIT_FAILURE;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[4096];
        struct stat facts;
        if (snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name) >= (int)sizeof path)
            return EXIT_FAILURE;
        if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
        if (!run(path)) return EXIT_FAILURE;
        inputs++;
    }
    closedir(directory);
    printf("%d inputs\n", inputs);
    return inputs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
