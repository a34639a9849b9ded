/* SPDX-License-Identifier: BSD-3-Clause
 * status.h: what every call returns. One list holds code, name, text and remedy. */
#ifndef WIREWISE_STATUS_H
#define WIREWISE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WW_API __attribute__((visibility("default")))
#else
#define WW_API
#endif

/* X(name, code, what it means, what to do). Negative codes are errors. */
#define WW_STATUS_LIST(X)                                                                          \
    X(WW_OK, 0, "done", "nothing to do")                                                           \
    X(WW_PENDING, 1, "still under way", "call again")                                              \
    X(WW_BAD_ARGUMENT, -1, "an argument is not acceptable",                                        \
      "read ww_last_error, which names the argument and the value, and correct the call")          \
    X(WW_BAD_STATE, -2, "the call does not fit the present state",                                 \
      "read ww_last_error, which names the state, and correct the order of the calls")             \
    X(WW_BAD_CONFIG, -3, "a setting has a value that cannot be used",                              \
      "correct the field of ww_config or the WIREWISE_ variable that ww_last_error names")         \
    X(WW_NO_MEMORY, -4, "memory could not be allocated",                                           \
      "lower bucket_bytes, segment_bytes or segments_in_flight, or give the job more memory")      \
    X(WW_UNSUPPORTED, -5, "this build or this machine cannot do that",                             \
      "read ww_last_error, which names what is missing")                                           \
    X(WW_MISMATCH, -6, "ranks asked for different things in the same collective",                  \
      "make the rank that ww_last_error names pass the same values as the others")                 \
    X(WW_TIMED_OUT, -7, "a rank did not come within the timeout",                                  \
      "look at the rank and host that ww_last_error names, whether it is late, stopped or gone; "  \
      "where it is late, raise timeout_s")                                                         \
    X(WW_PEER_FAILED, -8, "another rank failed, or is gone",                                       \
      "read the first error of the rank that ww_last_error names; where it left none, look at "    \
      "its node and its log, and whether the system ended it for want of memory")                  \
    X(WW_TRANSPORT_FAILED, -9, "the fabric below reported an error",                               \
      "read ww_last_error, which carries the fabric's own words")                                  \
    X(WW_FILE_FAILED, -10, "a file could not be written, or does not hold what it should",         \
      "read ww_last_error, which names the file, the rank and what the system said")

enum ww_status {
#define WW_STATUS_ENUM(name, code, text, remedy) name = code,
    WW_STATUS_LIST(WW_STATUS_ENUM)
#undef WW_STATUS_ENUM
};

/* The constant's name ("WW_TIMED_OUT"), its meaning and its remedy.
 * Static strings, never NULL; a code that is not in the list gives "unknown status".
 * Thread  any. */
WW_API const char *ww_status_name(enum ww_status status);
WW_API const char *ww_status_text(enum ww_status status);
WW_API const char *ww_status_remedy(enum ww_status status);

#ifdef __cplusplus
}
#endif
#endif
