# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Cases of each noun under valgrind, which looks at the test's own process: no invalid access,
# nothing lost. Children are started by the fork server, so they run at full speed and are looked at
# by the sanitisers' build.
#
# The arena is small here: valgrind looks for pointers in all memory that is mapped, touched or not.
set(cases Process.PROC_07_life_cycle Process.SUB_01_subclassing Queue.Q_01_put Queue.Q_05_task_done
    Pipe.CON_01_connection Barrier.five_meet
    Lock.states Semaphore.counts Condition.waits_for Event.wakes_all Pool.POOL_02_map
    Pool.POOL_18_errors Wait.WT_04_mixed)
list(JOIN cases ":" filter)
add_test(NAME valgrind.representative
  COMMAND ${COHORT_VALGRIND} --quiet --leak-check=full --show-leak-kinds=definite
  --errors-for-leak-kinds=definite --error-exitcode=98
          --child-silent-after-fork=yes $<TARGET_FILE:test_api> --gtest_filter=${filter}
  WORKING_DIRECTORY ${COHORT_TEST_DIR})
set_tests_properties(valgrind.representative PROPERTIES
  ENVIRONMENT
  "COHORT_TEST_METHOD=forkserver;COHORT_ARENA_SIZE=256M;COHORT_TEST_TIMEOUT=240"
  TIMEOUT 900 LABELS check FIXTURES_REQUIRED leftovers)
