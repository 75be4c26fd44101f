/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * cohort-peer-mpi: MPI within one machine. It has itself started again by mpirun, as so many ranks
 * as take part; rank 0 has the clock and prints. Where mpirun does not bring all of them to their
 * start, there is no such work.
 */
#include "peer.h"

#include <mpi.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { CANNOT = 77, OVER = 256 };

static int rank, ranks;

/* ---- two ranks: there and back, and one way ------------------------------------------------- */

static char *buffer;
static int size;

static void send_mark(int mark) { /* a byte, or OVER */
    buffer[0] = buffer[size - 1] = (char)mark;
    MPI_Send(buffer, size, MPI_CHAR, !rank, mark == OVER, MPI_COMM_WORLD);
}

static int receive_mark(void) {
    MPI_Status status;
    int n;
    MPI_Recv(buffer, size, MPI_CHAR, !rank, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_CHAR, &n);
    PEER_MUST(n == size && buffer[0] == buffer[size - 1]);
    return status.MPI_TAG ? OVER : (unsigned char)buffer[0];
}

static void open_pair(const char *metric) {
    size = (int)peer_size(metric);
    buffer = calloc(1, (size_t)size);
    peer_pin(metric, rank);
}

static void round_trips(void *arg, long first, long n) {
    (void)arg;
    for (long i = first; i < first + n; i++) {
        send_mark((int)(i % 256));
        PEER_MUST(receive_mark() == (i + 1) % 256);
    }
}

static double pingpong(const char *metric, long count) {
    open_pair(metric);
    if (rank == 0) {
        round_trips(NULL, 0, 10);
        double took = peer_blocks(round_trips, NULL, count);
        send_mark(OVER);
        return took;
    }
    for (int mark; (mark = receive_mark()) != OVER;) send_mark((mark + 1) % 256);
    return 0;
}

static double one_way(const char *metric, long count) {
    open_pair(metric);
    double begin = peer_now();
    for (long i = 0; i < count; i++) {
        if (rank == 0) send_mark((int)(i % 256));
        else PEER_MUST(receive_mark() == i % 256);
    }
    if (rank == 1) send_mark(OVER);
    PEER_MUST(rank == 1 || receive_mark() == OVER);
    return peer_now() - begin;
}

/* ---- a barrier ------------------------------------------------------------------------------ */

/* the crossing that each rank has begun last; behind them, the last one of all */
static _Atomic long (*places)[16];

static void crossings(void *arg, long first, long n) {
    (void)arg;
    for (long i = first; i < first + n; i++) {
        atomic_store_explicit(places[rank], i, memory_order_release);
        MPI_Barrier(MPI_COMM_WORLD);
        long other = atomic_load_explicit(places[(rank + 1) % ranks], memory_order_acquire);
        PEER_MUST(other == i || other == i + 1);
    }
}

static double barrier(const char *metric, long count) {
    MPI_Win window;
    MPI_Aint bytes = rank == 0 ? (MPI_Aint)sizeof *places * (ranks + 1) : 0;
    int unit = (int)sizeof *places;
    double took = 0;
    (void)metric;
    MPI_Win_allocate_shared(bytes, unit, MPI_INFO_NULL, MPI_COMM_WORLD, &places, &window);
    MPI_Win_shared_query(window, 0, &bytes, &unit, &places);
    if (rank == 0) {
        *places[ranks] = count;
        crossings(NULL, -1, 1);
        took = peer_blocks(crossings, NULL, count);
        *places[ranks] = *places[0] + 1;
        crossings(NULL, *places[ranks], 1);
    }
    for (long i = -1; rank > 0 && (i < 0 || i <= *places[ranks]); i++) crossings(NULL, i, 1);
    MPI_Win_free(&window);
    return took;
}

/* Open MPI wants to be told that more ranks than CPUs are meant: the one way until version 4, the
 * other since. */
static int start_ranks(char **argv) {
    char command[2048], begun[16], figure[32];
    snprintf(
        command, sizeof command,
        "exec env COHORT_PEER_RANK=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
        "MPIEXEC_TIMEOUT=120 "
        "OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe "
        "'%s' --bind-to none -n %d '%s' '%s' '%s' '%s' </dev/null",
        PEER_MPIRUN, ranks, argv[0], argv[1], argv[2], argv[3]);
    FILE *output = popen(command, "r");
    PEER_MUST(output != NULL);
    int words = fscanf(output, "%15s%31s", begun, figure), status = pclose(output);
    if (words == 2 && status == 0) puts(figure);
    return words < 1 ? CANNOT : WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    static const peer_work_t table[] = {{"send", "pingpong", pingpong},
                                        {"send", "oneway", one_way},
                                        {"barrier", "barrier", barrier},
                                        {0}};
    int n;
    if (argc != 4) return 2;
    ranks = strncmp(argv[2], "barrier.", 8) ? 2 : atoi(argv[2] + 8);
    if (!getenv("COHORT_PEER_RANK")) return start_ranks(argv);
    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    PEER_MUST(n == ranks && MPI_Barrier(MPI_COMM_WORLD) == MPI_SUCCESS);
    PEER_MUST(rank == 0 ? puts("begun") >= 0 && fflush(stdout) == 0
                        : freopen("/dev/null", "w", stdout) != NULL);
    int code = peer_main(argc, argv, table);
    MPI_Finalize();
    return code;
}
