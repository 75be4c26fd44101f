/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * 11: Cohort in C++.
 *
 * The cohort and its pool end with their blocks. A task is a lambda without captures; what it needs
 * comes with its input, since it runs in another process. An exception ends in the task, as a
 * failure with its message, and comes up again as another one in the process that waits: the
 * library is C, and none may pass through it.
 */
#include <cohort/cohort.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <vector>

namespace {

/* A call of Cohort that failed. */
struct failure : std::runtime_error {
    explicit failure(apr_status_t s) : std::runtime_error(cohort_last_error()), status(s) {}
    apr_status_t status;
};

void check(apr_status_t status) {
    if (status != APR_SUCCESS) throw failure(status);
}

/* This process is the root of a cohort as long as one of these lives. */
class root {
  public:
    root() { check(cohort_initialize(nullptr)); }
    ~root() { cohort_finalize(); }
    root(const root &) = delete;
    root &operator=(const root &) = delete;
};

/* A pool, and with it its workers. */
class workers {
  public:
    explicit workers(apr_size_t n) {
        cohort_pool_options_t options = {}; /* zero is the default of every member */
        options.workers = n;
        check(cohort_pool_create(&pool_, &options, nullptr));
    }
    ~workers() { cohort_pool_destroy(pool_); }
    workers(const workers &) = delete;
    workers &operator=(const workers &) = delete;

    /* Items travel as their bytes, so they are types without pointers to a process' own memory. */
    template <class Out, class In>
    std::vector<Out> map(cohort_task_t task, const std::vector<In> &inputs) {
        std::vector<Out> outputs(inputs.size());
        check(cohort_pool_map(pool_, task, inputs.data(), sizeof(In), inputs.size(), outputs.data(),
                              sizeof(Out)));
        return outputs;
    }

  private:
    cohort_pool_t *pool_ = nullptr;
};

/* The end of exceptions in a task. */
template <class Body> apr_status_t guarded(Body body) noexcept {
    try {
        body();
        return APR_SUCCESS;
    } catch (const std::exception &e) {
        return cohort_task_fail(APR_EGENERAL, "%s", e.what());
    } catch (...) {
        return cohort_task_fail(APR_EGENERAL, "an exception of no standard type");
    }
}

void run() {
    root cohort;
    workers two(2);
    cohort_task_t square_root = [](const void *input, void *output) {
        return guarded([&] {
            double number = *static_cast<const double *>(input);
            if (number < 0) throw std::domain_error("the square root of a negative number");
            *static_cast<double *>(output) = std::sqrt(number);
        });
    };

    std::vector<double> numbers = {1, 4, 9, 16};
    for (double number : two.map<double>(square_root, numbers)) std::printf("%g\n", number);

    numbers.push_back(-1);
    try {
        two.map<double>(square_root, numbers);
    } catch (const failure &f) {
        std::printf("caught: %s\n", f.what());
    }
}

} // namespace

int main() {
    try {
        run();
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
    return 0;
}
