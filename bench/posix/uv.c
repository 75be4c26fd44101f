/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort-peer-uv: libuv starts programs. */
#include "peer.h"

#include <uv.h>

static int64_t ended;

static void on_exit_of_child(uv_process_t *process, int64_t status, int signal) {
    ended = status + signal;
    uv_close((uv_handle_t *)process, NULL);
}

static void start_and_join(void *arg, long first, long n) {
    char *argv[] = {"true", NULL};
    uv_process_options_t options = {.file = "true", .args = argv, .exit_cb = on_exit_of_child};
    uv_loop_t *loop = arg;
    for (long i = first; i < first + n; i++) {
        uv_process_t process;
        ended = -1;
        PEER_MUST(uv_spawn(loop, &process, &options) == 0);
        PEER_MUST(uv_run(loop, UV_RUN_DEFAULT) == 0 && ended == 0);
    }
}

static double run(const char *metric, long count) {
    peer_be_large(metric);
    return peer_blocks(start_and_join, uv_default_loop(), count);
}

int main(int argc, char **argv) {
    static const peer_work_t table[] = {{"uv_spawn", "start.program", run}, {NULL, NULL, NULL}};
    return peer_main(argc, argv, table);
}
