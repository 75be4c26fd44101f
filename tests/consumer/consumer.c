/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* A user's program, built against the installed package only, as C and as C++. */
#include <cohort/cohort.h>
#include <stdio.h>

static int answer(void *args) { return *(int *)args; }

static apr_status_t ask(int number, int *code) {
    cohort_process_t *process;
    apr_status_t status =
        cohort_process_create(&process, answer, &number, sizeof number, NULL, NULL);
    if (status != APR_SUCCESS) {
        return status;
    }
    status = cohort_process_start(process);
    if (status == APR_SUCCESS) {
        status = cohort_process_join(process, COHORT_FOREVER);
    }
    *code = cohort_process_exit_code(process);
    cohort_process_destroy(process);
    return status;
}

int main(int argc, char **argv) {
    char text[200];
    int code = 0;
    apr_status_t status = cohort_initialize(NULL);
    if (status == APR_SUCCESS) {
        status = ask(42, &code);
    }
    if (status != APR_SUCCESS) {
        fprintf(stderr, "consumer: %s\n", cohort_strerror(status, text, sizeof text));
        return 1;
    }
    printf("Cohort %s: %d\n", cohort_version(), code);
    return code == 42 ? 0 : 1;
}
