/* SPDX-License-Identifier: BSD-3-Clause
 * status.c: names, texts and remedies of the status codes, from the one list; versions, types. */
#include <wirewise/wirewise.h>

struct status_row {
    enum ww_status status;
    const char *name;
    const char *text;
    const char *remedy;
};

static const struct status_row status_rows[] = {
#define STATUS_ROW(name, code, text, remedy) {name, #name, text, remedy},
    WW_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static const struct status_row *find(enum ww_status status)
{
    static const struct status_row unknown = {WW_OK, "unknown status", "unknown status",
                                              "unknown status"};
    for (size_t i = 0; i < sizeof status_rows / sizeof status_rows[0]; i++) {
        if (status_rows[i].status == status) {
            return &status_rows[i];
        }
    }
    return &unknown;
}

const char *ww_status_name(enum ww_status status)
{
    return find(status)->name;
}

const char *ww_status_text(enum ww_status status)
{
    return find(status)->text;
}

const char *ww_status_remedy(enum ww_status status)
{
    return find(status)->remedy;
}

const char *ww_version(void)
{
    return WW_VERSION_TEXT;
}

size_t ww_type_bytes(enum ww_type type)
{
    static const size_t bytes[WW_TYPE_COUNT] = {4, 8, 2, 2, 4, 8};
    return (unsigned)type < WW_TYPE_COUNT ? bytes[type] : 0;
}
