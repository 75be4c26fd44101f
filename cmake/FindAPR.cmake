# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Finds the Apache Portable Runtime 1.7 or newer and defines APR::APR. APR_PREFIX names an
# installation to use (a static one for a cross build, say); otherwise pkg-config says where it is.
if(TARGET APR::APR)
  set(APR_FOUND TRUE)
  return()
endif()

include(FindPackageHandleStandardArgs)
set(APR_PREFIX "" CACHE PATH "Where APR is installed; empty: ask pkg-config")

if(NOT APR_PREFIX)
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(APR_PC QUIET IMPORTED_TARGET apr-1>=1.7)
  endif()
  set(APR_VERSION ${APR_PC_VERSION})
  find_package_handle_standard_args(APR REQUIRED_VARS APR_PC_LINK_LIBRARIES VERSION_VAR APR_VERSION
    REASON_FAILURE_MESSAGE
    "pkg-config knows no apr-1 of version 1.7 or newer (libapr1-dev, apr-devel, apr), \
and APR_PREFIX is not set")
  if(APR_FOUND)
    # APR's headers need no extensions, and these flags reach all programs that use Cohort
    get_target_property(options PkgConfig::APR_PC INTERFACE_COMPILE_OPTIONS)
    if(options)
      list(REMOVE_ITEM options -D_GNU_SOURCE)
      set_property(TARGET PkgConfig::APR_PC PROPERTY INTERFACE_COMPILE_OPTIONS ${options})
    endif()
    add_library(APR::APR INTERFACE IMPORTED)
    target_link_libraries(APR::APR INTERFACE PkgConfig::APR_PC)
  endif()
  return()
endif()

find_path(APR_INCLUDE_DIR apr.h HINTS ${APR_PREFIX}/include PATH_SUFFIXES apr-1 apr-1.0
  NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
# On Windows libapr-1 is the import library of the DLL, and apr-1 (mingw: libapr-1.a) is the static
# library.
set(search HINTS ${APR_PREFIX}/lib NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
if(WIN32)
  find_library(APR_LIBRARY NAMES libapr-1.dll.a libapr-1.lib libapr-1.a apr-1.lib
    NAMES_PER_DIR ${search})
  find_file(APR_RUNTIME libapr-1.dll HINTS ${APR_PREFIX}/bin
    NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
else()
  find_library(APR_LIBRARY NAMES apr-1 ${search})
endif()
find_package_handle_standard_args(APR REQUIRED_VARS APR_LIBRARY APR_INCLUDE_DIR)
if(APR_FOUND)
  add_library(APR::APR UNKNOWN IMPORTED)
  set_target_properties(APR::APR PROPERTIES IMPORTED_LOCATION ${APR_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${APR_INCLUDE_DIR})
  if(WIN32 AND APR_LIBRARY MATCHES "(libapr-1\\.a|/apr-1\\.lib)$")
    set_property(TARGET APR::APR PROPERTY INTERFACE_LINK_LIBRARIES ws2_32 mswsock rpcrt4 iphlpapi
      advapi32 shell32)
    set_property(TARGET APR::APR PROPERTY INTERFACE_COMPILE_DEFINITIONS APR_DECLARE_STATIC)
  endif()
endif()
mark_as_advanced(APR_INCLUDE_DIR APR_LIBRARY APR_RUNTIME)
