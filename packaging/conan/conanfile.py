# Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0
# Conan 2 recipe: "conan create packaging/conan" from the top of the tree.
import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load
from conan.tools.gnu import PkgConfigDeps


class CohortConan(ConanFile):
    name = "cohort"
    description = "Multiprocessing for C"
    license = "Apache-2.0"
    topics = ("multiprocessing", "process pool", "shared memory")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    def set_version(self):
        import re

        text = load(self, os.path.join(self.recipe_folder, "..", "..", "CMakeLists.txt"))
        self.version = re.search(r"project\(Cohort VERSION ([0-9.]+)", text).group(1)

    def export_sources(self):
        top = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("CMakeLists.txt", "LICENSE", "*.md", "cmake/*", "include/*", "src/*",
                        "docs/*", "examples/*", "tools/man.awk"):
            copy(self, pattern, top, self.export_sources_folder)

    def validate(self):
        if self.settings.arch not in ("x86_64", "armv8"):
            raise ConanInvalidConfiguration("Cohort's arena needs a 64-bit address space.")

    def configure(self):
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # its headers are in Cohort's
        self.requires("apr/1.7.4", transitive_headers=True, transitive_libs=True)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.variables["BUILD_TESTING"] = False
        toolchain.variables["COHORT_BENCH"] = False
        toolchain.variables["COHORT_EXAMPLES"] = False
        toolchain.generate()
        CMakeDeps(self).generate()
        PkgConfigDeps(self).generate()  # cmake/FindAPR.cmake asks pkg-config

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        self.cpp_info.libs = ["cohort"]
        self.cpp_info.set_property("cmake_file_name", "Cohort")
        self.cpp_info.set_property("cmake_target_name", "Cohort::cohort")
        self.cpp_info.set_property("pkg_config_name", "cohort")
        if not self.options.shared:
            self.cpp_info.defines = ["COHORT_STATIC"]
            if self.settings.os == "Linux":
                self.cpp_info.system_libs = ["pthread", "dl"]
            elif self.settings.os == "Windows":
                self.cpp_info.system_libs = ["bcrypt", "advapi32"]
