/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* cohort-peer-boost: Boost.Interprocess' message_queue, in shared memory. */
#include "peer.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <string>
#include <unistd.h>

using boost::interprocess::message_queue;

static std::string name;
static message_queue *queue;

static void create(size_t size, int, int) {
    name = "cohort-peer-" + std::to_string(getpid());
    queue = new message_queue(boost::interprocess::create_only, name.c_str(), 1024, size);
    message_queue::remove(name.c_str()); // its forks have it
}

static void open_producer(int, int) {}
static void open_consumer(int) {}

static void put(const void *message, size_t size) { queue->send(message, size, 0); }

static int get(void *message, size_t size, double *) {
    message_queue::size_type got;
    unsigned priority;
    queue->receive(message, size, got, priority);
    PEER_MUST(got == size);
    return 1;
}

static void nothing() {}

static double run(const char *metric, long count) {
    static const peer_queue_t boost_queue = {create, open_producer, open_consumer, put,
                                             get,    nothing,       nothing,       0};
    return peer_crowd(&boost_queue, metric, count);
}

int main(int argc, char **argv) {
    static const peer_work_t table[] = {{"message_queue", "queue", run},
                                        {nullptr, nullptr, nullptr}};
    return peer_main(argc, argv, table);
}
