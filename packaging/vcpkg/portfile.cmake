# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# An overlay port that builds the tree that it lies in:
#   vcpkg install cohort --overlay-ports=packaging/vcpkg
set(SOURCE_PATH ${CMAKE_CURRENT_LIST_DIR}/../..)

vcpkg_cmake_configure(SOURCE_PATH ${SOURCE_PATH}
  OPTIONS -DBUILD_TESTING=OFF -DCOHORT_BENCH=OFF -DCOHORT_EXAMPLES=OFF
          -DAPR_PREFIX=${CURRENT_INSTALLED_DIR})
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME Cohort CONFIG_PATH lib/cmake/Cohort)
vcpkg_fixup_pkgconfig()
vcpkg_copy_pdbs()
file(REMOVE_RECURSE ${CURRENT_PACKAGES_DIR}/debug/include ${CURRENT_PACKAGES_DIR}/debug/share)
vcpkg_install_copyright(FILE_LIST ${SOURCE_PATH}/LICENSE)
