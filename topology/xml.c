/* SPDX-License-Identifier: BSD-3-Clause
 * xml.c: one pass over the text. Names and values end up in place, with their zeros. */
#include "xml.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/log.h"

#define DEPTH_MAX 128
#define NODES_MAX 1000000
#define ATTRIBUTES_MAX 64 /* of one element */

struct parser {
    struct xml *xml;
    char *at;
    char *end;
    int line;
    int depth;
    int open; /* the element that waits for its end; -1 = none */
    int last; /* its latest child; -1 = none */
};

/* ---- Files ----------------------------------------------------------------------------------- */

static enum ww_status read_stream(const char *path, FILE *file, char **text, size_t *bytes)
{
    char *all = NULL;
    size_t used = 0;
    size_t room = 0;
    for (;;) {
        if (room - used < 2) {
            room = room == 0 ? (size_t)64 << 10 : 2 * room;
            char *more = room > 2 * XML_FILE_BYTES_MAX ? NULL : realloc(all, room);
            if (more == NULL) {
                free(all);
                return log_failure(WW_NO_MEMORY, "no memory for %zu bytes of %s", room, path);
            }
            all = more;
        }
        size_t got = fread(all + used, 1, room - used - 1, file);
        used += got;
        if (got == 0 || used > XML_FILE_BYTES_MAX) {
            break;
        }
    }
    if (ferror(file) || used == 0 || used > XML_FILE_BYTES_MAX) {
        free(all);
        return log_failure(WW_BAD_ARGUMENT, "%s cannot describe a machine: it %s", path,
                           ferror(file) ? "cannot be read"
                           : used == 0  ? "is empty"
                                        : "has more than 64 MiB");
    }
    all[used] = '\0';
    *text = all;
    *bytes = used;
    return WW_OK;
}

/* What packs files, by the bytes that its files begin with. */
static const char *packer_of(const char *text, size_t bytes)
{
    static const struct {
        const char *begin;
        size_t bytes;
        const char *name;
    } packers[] = {{"\x1f\x8b", 2, "gzip"},
                   {"BZh", 3, "bzip2"},
                   {"\xfd\x37zXZ", 5, "xz"},
                   {"\x28\xb5\x2f\xfd", 4, "zstd"}};
    for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
        if (bytes >= packers[i].bytes && memcmp(text, packers[i].begin, packers[i].bytes) == 0) {
            return packers[i].name;
        }
    }
    return NULL;
}

/* Opens a file, or a pipe that somebody writes into. A pipe that nobody has opened is not waited
 * for: it reads as empty. */
static FILE *open_file(const char *path)
{
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) {
        log_failure(WW_BAD_ARGUMENT, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    bool told = fstat(file, &about) == 0;
    if (!told || (!S_ISREG(about.st_mode) && !S_ISFIFO(about.st_mode))) {
        log_failure(WW_BAD_ARGUMENT, "%s is %s, not a description of a machine", path,
                    told && S_ISDIR(about.st_mode) ? "a folder" : "a device");
        close(file);
        return NULL;
    }
    FILE *stream = fcntl(file, F_SETFL, 0) == 0 ? fdopen(file, "r") : NULL;
    if (stream == NULL) {
        log_failure(WW_BAD_ARGUMENT, "cannot read %s: %s", path, strerror(errno));
        close(file);
    }
    return stream;
}

enum ww_status xml_read_file(const char *path, char **text, size_t *bytes)
{
    FILE *file = open_file(path);
    if (file == NULL) {
        return WW_BAD_ARGUMENT;
    }
    enum ww_status status = read_stream(path, file, text, bytes);
    fclose(file);
    if (status != WW_OK) {
        return status;
    }
    const char *packer = packer_of(*text, *bytes);
    if (packer != NULL) {
        free(*text);
        *text = NULL;
        return log_failure(WW_BAD_ARGUMENT, "%s is packed by %s: unpack it first", path, packer);
    }
    /* A mark of the byte order means nothing in UTF-8, and not every reader skips it. */
    if (*bytes > 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) {
        *bytes -= 3;
        memmove(*text, *text + 3, *bytes + 1);
    }
    return WW_OK;
}

/* ---- Storage --------------------------------------------------------------------------------- */

static enum ww_status complain(const struct parser *parser, const char *what)
{
    return log_failure(WW_BAD_ARGUMENT, "%s:%d: %s; is the file complete, and XML?",
                       parser->xml->path, parser->line, what);
}

/* Room for one more element of `bytes` each; doubles. */
static enum ww_status grow(void **array, int count, int *room, size_t bytes)
{
    if (count < *room) {
        return WW_OK;
    }
    int wanted = *room == 0 ? 256 : 2 * *room;
    void *more = realloc(*array, (size_t)wanted * bytes);
    if (more == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %d parts of an XML file", wanted);
    }
    *array = more;
    *room = wanted;
    return WW_OK;
}

static enum ww_status add_node(struct parser *parser, const char *name)
{
    struct xml *xml = parser->xml;
    if (xml->node_count == NODES_MAX || parser->depth == DEPTH_MAX) {
        return complain(parser, parser->depth == DEPTH_MAX
                                    ? "elements nest deeper than 128"
                                    : "there are more than 1000000 elements");
    }
    enum ww_status status = grow((void **)&xml->nodes, xml->node_count, &xml->node_room,
                                 sizeof *xml->nodes);
    if (status != WW_OK) {
        return status;
    }
    int node = xml->node_count++;
    xml->nodes[node] = (struct xml_node){
        name, parser->line, parser->open, -1, -1, xml->attribute_count, 0};
    if (parser->last >= 0) {
        xml->nodes[parser->last].next = node;
    } else if (parser->open >= 0) {
        xml->nodes[parser->open].child = node;
    }
    parser->open = node;
    parser->last = -1;
    parser->depth++;
    return WW_OK;
}

static void close_node(struct parser *parser)
{
    parser->last = parser->open;
    parser->open = parser->xml->nodes[parser->open].parent;
    parser->depth--;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static bool starts(const struct parser *parser, const char *word)
{
    size_t bytes = strlen(word);
    return (size_t)(parser->end - parser->at) >= bytes && memcmp(parser->at, word, bytes) == 0;
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && isspace((unsigned char)*parser->at)) {
        parser->line += *parser->at == '\n';
        parser->at++;
    }
}

/* Goes behind the next `word`. */
static bool skip_past(struct parser *parser, const char *word)
{
    while (parser->at < parser->end && !starts(parser, word)) {
        parser->line += *parser->at == '\n';
        parser->at++;
    }
    if (parser->at >= parser->end) {
        return false;
    }
    parser->at += strlen(word);
    return true;
}

static bool is_name_letter(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_' || letter == '-' || letter == ':' ||
           letter == '.';
}

/* The bytes of a name at the reader's place; 0 = there is none. */
static size_t name_bytes(const struct parser *parser)
{
    size_t bytes = 0;
    while (parser->at + bytes < parser->end && is_name_letter(parser->at[bytes])) {
        bytes++;
    }
    return bytes;
}

/* Puts the letter that "&...;" means at *to; returns the bytes read, 0 = no such letter. */
static size_t decode_entity(const char *from, char **to)
{
    static const struct {
        const char *text;
        char letter;
    } entities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        size_t bytes = strlen(entities[i].text);
        if (strncmp(from, entities[i].text, bytes) == 0) {
            *(*to)++ = entities[i].letter;
            return bytes;
        }
    }
    char *end = NULL;
    bool hexadecimal = strncmp(from, "&#x", 3) == 0;
    const char *digits = from + (hexadecimal ? 3 : 2);
    if (strncmp(from, "&#", 2) != 0 || !isxdigit((unsigned char)*digits)) {
        return 0;
    }
    unsigned long letter = strtoul(digits, &end, hexadecimal ? 16 : 10);
    if (*end != ';' || letter == 0 || letter > 0x10ffff) {
        return 0;
    }
    *(*to)++ = letter < 0x80 ? (char)letter : '?'; /* nothing we read has such letters */
    return (size_t)(end + 1 - from);
}

/* Takes the quoted value at the reader's place; it ends with a zero then. */
static enum ww_status read_value(struct parser *parser, const char **value)
{
    char quote = parser->at < parser->end ? *parser->at : '\0';
    if (quote != '"' && quote != '\'') {
        return complain(parser, "an attribute has no quoted value");
    }
    char *from = ++parser->at;
    char *to = from;
    *value = to;
    while (from < parser->end && *from != quote && *from != '<') {
        parser->line += *from == '\n';
        if (*from != '&') {
            *to++ = *from++;
            continue;
        }
        size_t bytes = decode_entity(from, &to);
        if (bytes == 0) {
            return complain(parser, "a value has an & that stands for nothing");
        }
        from += bytes;
    }
    if (from >= parser->end || *from != quote) {
        return complain(parser, "a value does not end");
    }
    *to = '\0';
    parser->at = from + 1;
    return WW_OK;
}

static enum ww_status read_attribute(struct parser *parser)
{
    struct xml *xml = parser->xml;
    size_t bytes = name_bytes(parser);
    char *name = parser->at;
    parser->at += bytes;
    skip_blanks(parser);
    if (bytes == 0 || parser->at >= parser->end || *parser->at != '=') {
        return complain(parser, "an element has something that is no attribute");
    }
    parser->at++;
    skip_blanks(parser);
    name[bytes] = '\0';
    const char *value = NULL;
    enum ww_status status = read_value(parser, &value);
    if (status != WW_OK) {
        return status;
    }
    struct xml_node *node = &xml->nodes[parser->open];
    if (node->attribute_count == ATTRIBUTES_MAX || xml_value(xml, parser->open, name) != NULL) {
        return complain(parser, node->attribute_count == ATTRIBUTES_MAX
                                    ? "an element has more than 64 attributes"
                                    : "an element has the same attribute twice");
    }
    status = grow((void **)&xml->attributes, xml->attribute_count, &xml->attribute_room,
                  sizeof *xml->attributes);
    if (status == WW_OK) {
        xml->attributes[xml->attribute_count++] = (struct xml_attribute){name, value};
        node->attribute_count++;
    }
    return status;
}

/* ---- Elements -------------------------------------------------------------------------------- */

/* At "<name". */
static enum ww_status read_start(struct parser *parser)
{
    parser->at++;
    size_t bytes = name_bytes(parser);
    char *name = parser->at;
    if (bytes == 0 || parser->at + bytes >= parser->end) {
        return complain(parser, "an element has no name or does not end");
    }
    enum ww_status status = add_node(parser, name);
    parser->at += bytes;
    bool blank = true;
    while (status == WW_OK) {
        char *before = parser->at;
        skip_blanks(parser);
        blank = parser->at > before;
        if (parser->at >= parser->end) {
            return complain(parser, "an element does not end");
        }
        if (*parser->at == '>' || *parser->at == '/') {
            break;
        }
        if (!blank) {
            return complain(parser, "an element has something that is no attribute");
        }
        status = read_attribute(parser);
    }
    if (status != WW_OK) {
        return status;
    }
    bool closed = *parser->at == '/';
    if (closed && !starts(parser, "/>")) {
        return complain(parser, "an element has a / without a >");
    }
    parser->at += closed ? 2 : 1;
    name[bytes] = '\0'; /* whatever stood there has been read */
    if (closed) {
        close_node(parser);
    }
    return WW_OK;
}

/* At "</name". */
static enum ww_status read_end(struct parser *parser)
{
    parser->at += 2;
    size_t bytes = name_bytes(parser);
    if (parser->open < 0) {
        return complain(parser, "an element ends that did not begin");
    }
    const char *name = parser->xml->nodes[parser->open].name;
    if (strlen(name) != bytes || memcmp(name, parser->at, bytes) != 0) {
        return complain(parser, "an element ends inside another one");
    }
    parser->at += bytes;
    skip_blanks(parser);
    if (parser->at >= parser->end || *parser->at != '>') {
        return complain(parser, "the end of an element does not end");
    }
    parser->at++;
    close_node(parser);
    return WW_OK;
}

/* At "<": elements, and what is only skipped. */
static enum ww_status read_markup(struct parser *parser)
{
    if (starts(parser, "<!--")) {
        return skip_past(parser, "-->") ? WW_OK : complain(parser, "a comment does not end");
    }
    if (starts(parser, "<?")) {
        return skip_past(parser, "?>") ? WW_OK : complain(parser, "a <? does not end");
    }
    if (starts(parser, "<!DOCTYPE") && parser->xml->node_count == 0) {
        char *begin = parser->at;
        if (!skip_past(parser, ">")) {
            return complain(parser, "the document type does not end");
        }
        return memchr(begin, '[', (size_t)(parser->at - begin)) == NULL
                   ? WW_OK
                   : complain(parser, "the document type defines something: that is refused");
    }
    if (starts(parser, "<!")) {
        return complain(parser, "there is a <! that descriptions of machines do not have");
    }
    if (parser->open < 0 && parser->xml->node_count > 0) {
        return complain(parser, "something follows the root element");
    }
    return starts(parser, "</") ? read_end(parser) : read_start(parser);
}

static enum ww_status read_document(struct parser *parser)
{
    enum ww_status status = WW_OK;
    while (status == WW_OK) {
        skip_blanks(parser);
        if (parser->at >= parser->end) {
            break;
        }
        if (*parser->at == '<') {
            status = read_markup(parser);
        } else if (parser->open < 0) {
            return complain(parser, "there is text outside of the root element");
        } else {
            parser->at++;
        }
    }
    if (status == WW_OK && (parser->open >= 0 || parser->xml->node_count == 0)) {
        return complain(parser, parser->open < 0 ? "there is no element"
                                                 : "the file ends inside an element");
    }
    return status;
}

enum ww_status xml_parse(const char *path, const char *text, size_t bytes, struct xml *xml)
{
    *xml = (struct xml){.path = path, .text = malloc(bytes + 1)};
    if (xml->text == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %zu bytes of %s", bytes, path);
    }
    memcpy(xml->text, text, bytes);
    xml->text[bytes] = '\0';
    struct parser parser = {xml, xml->text, xml->text + bytes, 1, 0, -1, -1};
    enum ww_status status = memchr(text, '\0', bytes) == NULL
                                ? read_document(&parser)
                                : complain(&parser, "the file holds zeros: it is no text");
    if (status != WW_OK) {
        xml_finish(xml);
    }
    return status;
}

void xml_finish(struct xml *xml)
{
    free(xml->text);
    free(xml->nodes);
    free(xml->attributes);
    *xml = (struct xml){.path = NULL};
}

const char *xml_value(const struct xml *xml, int node, const char *name)
{
    const struct xml_node *about = &xml->nodes[node];
    for (int i = 0; i < about->attribute_count; i++) {
        if (strcmp(xml->attributes[about->attribute + i].name, name) == 0) {
            return xml->attributes[about->attribute + i].value;
        }
    }
    return NULL;
}

enum ww_status xml_number(const struct xml *xml, int node, const char *name, long long least,
                          long long most, long long missing, long long *value)
{
    const char *text = xml_value(xml, node, name);
    if (text == NULL) {
        *value = missing;
        return WW_OK;
    }
    char *end = NULL;
    errno = 0;
    bool hexadecimal = strncmp(text, "0x", 2) == 0;
    long long number = strtoll(text, &end, hexadecimal ? 16 : 10);
    if (end == text || *end != '\0' || errno != 0 || number < least || number > most) {
        return log_failure(
            WW_BAD_ARGUMENT, "%s:%d: %s=\"%.40s\" of <%s> must be a number from %lld to %lld",
            xml->path, xml->nodes[node].line, name, text, xml->nodes[node].name, least, most);
    }
    *value = number;
    return WW_OK;
}

/* Where the markup that begins at `from` ends; it does, as the document is well formed. */
static const char *behind(const char *from, const char *mark)
{
    const char *found = strstr(from, mark);
    return found == NULL ? from + strlen(from) : found + strlen(mark);
}

/* Copies the declaration "<?xml ...?>", which names the encoding, as a line of its own, and skips
 * to the root element. */
static const char *simplify_begin(const char *from, char **to)
{
    const char *begin = *to;
    while (*from != '\0' && !(*from == '<' && is_name_letter(from[1]))) {
        const char *next = from + 1;
        if (strncmp(from, "<!--", 4) == 0) {
            next = behind(from, "-->");
        } else if (*to == begin && strncmp(from, "<?xml ", 6) == 0) {
            next = behind(from, "?>");
            memmove(*to, from, (size_t)(next - from));
            *to += next - from;
            if (*to == next) { /* nothing was taken out that would leave room for the line's end */
                memmove(*to + 1, *to, strlen(*to) + 1);
                next++;
            }
            *(*to)++ = '\n';
        } else if (*from == '<') {
            next = behind(from, ">");
        }
        from = next;
    }
    return from;
}

size_t xml_simplify(char *text)
{
    char *to = text;
    const char *from = simplify_begin(text, &to);
    while (*from != '\0') {
        if (strncmp(from, "<!--", 4) == 0) {
            from = behind(from, "-->");
        } else if (*from == '\r') {
            from++;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}
