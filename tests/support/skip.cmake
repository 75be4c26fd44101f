# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# A test that is not there: says why.
message("test: Skipped\n${REASON}")
