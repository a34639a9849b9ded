/* SPDX-License-Identifier: BSD-3-Clause
 * xml.h: reads the XML that descriptions of machines are written in, strictly and within limits.
 * What is refused: documents that are not well formed, that define entities, nest deeper than 128
 * elements, have more than a million of them, or hold zeros. */
#ifndef XML_H
#define XML_H

#include <stddef.h>

#include <wirewise/wirewise.h>

#define XML_FILE_BYTES_MAX ((size_t)64 << 20)

struct xml_attribute {
    const char *name;
    const char *value;
};
struct xml_node {
    const char *name;
    int line;
    int parent; /* numbers of nodes; -1 = none */
    int child;
    int next;
    int attribute; /* the first one */
    int attribute_count;
};

/* Node 0 is the root element. Texts between elements are left out. */
struct xml {
    const char *path; /* for sentences; the caller's */
    char *text;       /* names and values point into it */
    struct xml_node *nodes;
    int node_count;
    int node_room;
    struct xml_attribute *attributes;
    int attribute_count;
    int attribute_room;
};

/* Reads a whole file, or pipe, into *text[*bytes + 2], ended by a zero, with room for one byte
 * more; to be freed. A mark of the byte order is left out. Returns WW_OK, WW_BAD_ARGUMENT (it is
 * missing, empty, packed, too large, a folder or a device), WW_NO_MEMORY. */
enum ww_status xml_read_file(const char *path, char **text, size_t *bytes);

/* Takes text[bytes] apart. path is only named; both are borrowed until xml_finish, text is copied.
 * Returns WW_OK, WW_BAD_ARGUMENT (the sentence has the line), WW_NO_MEMORY. */
enum ww_status xml_parse(const char *path, const char *text, size_t bytes, struct xml *xml);
void xml_finish(struct xml *xml);

/* For readers that know less of XML: takes comments, carriage returns, and what stands before the
 * root element out of a text that xml_parse found well formed and that ends with a zero. The
 * declaration stays, as a line of its own, for which there is room of one byte behind the zero.
 * Returns the bytes that are left, without their zero. */
size_t xml_simplify(char *text);

/* The value of an attribute, NULL when the node has none of that name. */
const char *xml_value(const struct xml *xml, int node, const char *name);

/* A whole number from least to most, decimal or after 0x. A missing attribute gives `missing`.
 * Returns WW_OK, or WW_BAD_ARGUMENT with a sentence that has the line. */
enum ww_status xml_number(const struct xml *xml, int node, const char *name, long long least,
                          long long most, long long missing, long long *value);

#endif
