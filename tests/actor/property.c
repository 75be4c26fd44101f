/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/* property NAME TEXT: a program that ends with 0 when what it has of the property is TEXT, else
 * with 1. */
#include "../posix/properties.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    char text[PROPERTY_TEXT] = "";
    const property_t *property = argc == 3 ? property_find(argv[1]) : NULL;
    if (!property) return 2;
    property->look(text, sizeof text);
    if (strcmp(text, argv[2]) == 0) return 0;
    fprintf(stderr, "in a program %s is \"%s\", expected \"%s\"\n", argv[1], text, argv[2]);
    return 1;
}
