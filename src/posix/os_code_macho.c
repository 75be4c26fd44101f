/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* Code addresses as (module, offset) for Mach-O. A module is identified by its LC_UUID; the
 * executable has the empty path. */
#include "os_posix.h"

#include <dlfcn.h>
#include <mach-o/dyld.h>
#include <mach-o/loader.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const struct mach_header_64 *header;
    char path[512];
    uint8_t build[20];
    uint64_t text_size;
} module_t;

static void describe(module_t *module) {
    const char *at = (const char *)(module->header + 1);
    for (uint32_t i = 0; i < module->header->ncmds; ++i) {
        const struct load_command *command = (const void *)at;
        if (command->cmd == LC_UUID)
            memcpy(module->build, ((const struct uuid_command *)(const void *)at)->uuid, 16);
        if (command->cmd == LC_SEGMENT_64) {
            const struct segment_command_64 *segment = (const void *)at;
            if (strcmp(segment->segname, "__TEXT") == 0) module->text_size = segment->vmsize;
        }
        at += command->cmdsize;
    }
}

/* Image 0 is the executable. False when the name is too long. */
static bool take(uint32_t image, module_t *module) {
    const char *name = _dyld_get_image_name(image);
    *module = (module_t){.header = (const void *)_dyld_get_image_header(image)};
    if (!name || !module->header) return false;
    char *real = image == 0 ? NULL : realpath(name, NULL);
    if (image == 0) name = "";
    else if (real) name = real;
    bool fits = strlen(name) < sizeof module->path;
    if (fits) strcpy(module->path, name);
    free(real);
    if (fits) describe(module);
    return fits;
}

static bool find_path(const char *path, module_t *module) {
    for (uint32_t i = 0; i < _dyld_image_count(); ++i)
        if (take(i, module) && strcmp(module->path, path) == 0) return true;
    return false;
}

void cohort__own_build(uint8_t build[20]) {
    module_t module;
    if (take(0, &module)) memcpy(build, module.build, sizeof module.build);
}

apr_status_t cohort_os_code_find(const void *address, cohort_os_code_t *code) {
    Dl_info info;
    module_t module;
    if (!dladdr(address, &info)) return COHORT_ETARGET;
    for (uint32_t i = 0; i < _dyld_image_count(); ++i) {
        if ((const void *)_dyld_get_image_header(i) != info.dli_fbase || !take(i, &module))
            continue;
        uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)module.header);
        if (offset >= module.text_size) return COHORT_ETARGET;
        memset(code, 0, sizeof *code);
        strcpy(code->path, module.path);
        code->offset = offset;
        memcpy(code->build, module.build, sizeof code->build);
        return APR_SUCCESS;
    }
    return COHORT_ETARGET;
}

apr_status_t cohort_os_code_at(const cohort_os_code_t *code, void **address) {
    module_t module;
    if (!find_path(code->path, &module)) {
        if (!code->path[0]) return COHORT_ETARGET;
        /* stays loaded for good */
        if (!dlopen(code->path, RTLD_NOW | RTLD_LOCAL))
            return cohort__fail(COHORT_ETARGET, "dlopen %s: %s", code->path, dlerror());
        if (!find_path(code->path, &module)) return COHORT_ETARGET;
    }
    if (memcmp(module.build, code->build, sizeof module.build) != 0) return COHORT_EBINARY;
    if (code->offset >= module.text_size) return COHORT_ETARGET;
    *address = (void *)((uintptr_t)module.header + (uintptr_t)code->offset);
    return APR_SUCCESS;
}
