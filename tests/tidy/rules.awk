# SPDX-License-Identifier: BSD-3-Clause
# rules.awk: reads C files and prints "file:line: [rule] sentence" where a rule of the house is
# broken. Arguments: every .c and .h of the tree, relative to its top; the tree is the current
# folder. Plain awk: Debian's default has no extensions.

# ---- What may include what -----------------------------------------------------------------------

function room_of(path,    i) {
    for (i = 1; i <= room_count; i++) {
        if (index(path, room_folder[i] "/") == 1) {
            return room_folder[i]
        }
    }
    return ""
}

# sees: the rooms whose headers files of this room may include, beside their own.
function room(folder, sees,    words, count, i) {
    room_folder[++room_count] = folder
    may[folder, folder] = 1
    count = split(sees, words, " ")
    for (i = 1; i <= count; i++) {
        may[folder, words[i]] = 1
    }
}

# A header of somebody else, and the files that may include it (regular expressions).
function vendor(header, files) {
    vendor_header[++vendor_count] = header
    vendor_files[vendor_count] = files
}

BEGIN {
    visitors = "^(bench|examples|tests)/"
    library = "^(include|runtime|collectives|topology)/"

    # The more precise folder first.
    room("include/wirewise", "")
    room("include/internal", "include/wirewise")
    room("runtime/base", "include/wirewise include/internal")
    room("runtime/transport", "include/wirewise include/internal")
    room("runtime/report", "include/wirewise include/internal")
    room("runtime/store", "")
    room("topology", "include/wirewise include/internal")
    room("collectives", "include/wirewise include/internal topology")
    room("runtime", "include/wirewise include/internal topology collectives runtime/report " \
                    "runtime/store")
    room("bench", "include/wirewise")
    room("examples", "include/wirewise")
    room("tests", "include/wirewise include/internal runtime/base runtime/transport " \
                  "runtime/report runtime/store topology collectives runtime bench examples")

    door["topology"] = "topology/topology.h"
    door["collectives"] = "collectives/collectives.h"

    vendor("^mpi\\.h$", "^runtime/transport/mpi\\.c$|^include/wirewise/mpi\\.h$|" visitors)
    vendor("^wirewise/mpi\\.h$", "^runtime/transport/mpi\\.c$|" visitors)
    vendor("^hwloc(\\.h|/)", "^topology/discover\\.c$|^tests/")
    vendor("^nccl\\.h$", "^runtime/transport/nccl\\.c$|" visitors)
    vendor("^uc[pst]/", "^runtime/transport/ucx\\.c$|" visitors)
    vendor("^nvml\\.h$", "^runtime/base/nvml\\.c$|^tests/")
    vendor("^infiniband/", "^topology/nic\\.c$|^tests/")
    vendor("^cuda", "^runtime/base/gpu\\.c$|^collectives/kernels/cuda|" visitors)
    vendor("^cblas\\.h$|^jansson\\.h$|^criterion/", visitors)
    vendor("^xxhash\\.h$", "^runtime/store/xxh3\\.c$|" visitors)

    word = "(^|[^A-Za-z0-9_])"
    call = "(^|[^A-Za-z0-9_.>])"
    for (i = 1; i < ARGC; i++) {
        exists[ARGV[i]] = 1
    }
}

# ---- Reading C -----------------------------------------------------------------------------------

function complain(line, rule, sentence) {
    print FILENAME ":" line ": [" rule "] " sentence
    complaints++
}

# The line without comments and without what stands inside quotes.
function code_of(line,    out, i, c, two) {
    out = ""
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                out = out " "
                i++
            }
        } else if (quote != "") {
            if (c == "\\") {
                i++
            } else if (c == quote) {
                quote = ""
                out = out c
            }
        } else if (two == "/*") {
            in_comment = 1
            i++
        } else if (two == "//") {
            break
        } else {
            if (c == "\"" || c == "'") {
                quote = c
            }
            out = out c
        }
    }
    quote = ""
    return out
}

# Tests lend each other their folders.
function resolve_in_tests(header,    path, tail) {
    tail = "/" header
    for (path in exists) {
        if (path ~ /^tests\// && length(path) > length(tail) &&
            substr(path, length(path) - length(tail) + 1) == tail) {
            return path
        }
    }
    return ""
}

# The file that a quoted include means: beside the includer, in its room, in include/, in the
# rooms that one can see from here. "" when there is none.
function resolve(header, from,    folder, i) {
    folder = from
    sub(/\/[^\/]*$/, "", folder)
    if ((folder "/" header) in exists) {
        return folder "/" header
    }
    if ((room_of(from) "/" header) in exists) {
        return room_of(from) "/" header
    }
    if (("include/" header) in exists) {
        return "include/" header
    }
    for (i = 1; i <= room_count; i++) {
        if ((room_folder[i] "/" header) in exists) {
            return room_folder[i] "/" header
        }
    }
    return from ~ /^tests\// ? resolve_in_tests(header) : ""
}

# 0 own header, 1 system, 2 the public API, 3 what is quoted: private contracts, the own room, doors.
# The own header is the one that a file opens with, because it keeps that header's promises.
function class_of(target, quoted) {
    if (target == "") {
        return 1
    }
    if (class_before < 0) {
        return 0
    }
    return quoted ? 3 : 2
}

function check_vendor(header,    i) {
    for (i = 1; i <= vendor_count; i++) {
        if (header ~ vendor_header[i]) {
            vendors_here[vendor_header[i] == "^wirewise/mpi\\.h$" ? "^mpi\\.h$" \
                                                                  : vendor_header[i]] = 1
            if (FILENAME !~ vendor_files[i]) {
                complain(FNR, "vendor", "<" header "> may not be included here")
            }
        }
    }
}

function check_target(target,    here, there) {
    here = room_of(FILENAME)
    there = room_of(target)
    if (!((here, there) in may)) {
        complain(FNR, "upward", here " may not include " target)
    } else if (here != there && here != "tests" && (there in door) && target != door[there]) {
        complain(FNR, "door", target " is inside " there "; include " door[there])
    }
}

function check_include(line,    header, quoted, target, class) {
    header = line
    quoted = line ~ /^[ \t]*#[ \t]*include[ \t]*"/
    sub(/^[ \t]*#[ \t]*include[ \t]*["<]/, "", header)
    sub(/[">].*$/, "", header)
    check_vendor(header)
    target = ""
    if (quoted) {
        target = resolve(header, FILENAME)
        if (target == "") {
            complain(FNR, "unknown", "\"" header "\" is no file of this tree")
            return
        }
    } else if (("include/" header) in exists) {
        target = "include/" header
    }
    if (target != "") {
        check_target(target)
    }
    class = class_of(target, quoted)
    if (class < class_before) {
        complain(FNR, "order", "includes go: own header, system, <wirewise/...>, quoted ones")
    }
    class_before = class
}

# ---- Rules about words ---------------------------------------------------------------------------

function check_clock(code) {
    if (FILENAME == "runtime/base/clock.c") {
        return
    }
    if (code ~ (call "(clock_gettime|clock_nanosleep|nanosleep|usleep|sleep|gettimeofday|time|" \
                "timespec_get|clock|MPI_Wtime|__rdtsc|__builtin_ia32_rdtsc)[ \t]*\\(")) {
        complain(FNR, "clock", "only runtime/base/clock.c reads the clock or sleeps")
    }
    if (code ~ (call "clock_now_ns[ \t]*\\(") && FILENAME ~ /^(collectives|topology)\//) {
        complain(FNR, "clock", "below runtime/ the time is an argument")
    }
    if (code ~ (call "clock_sleep_ns[ \t]*\\(") && FILENAME ~ library &&
        FILENAME != "runtime/progress.c" && FILENAME != "include/internal/clock.h") {
        complain(FNR, "clock", "only runtime/progress.c sleeps")
    }
}

function check_words(code) {
    if (FILENAME !~ library) {
        return
    }
    check_clock(code)
    if (code ~ (call "(secure_)?getenv[ \t]*\\(") && FILENAME != "runtime/config.c" &&
        FILENAME != "runtime/base/log.c" && FILENAME != "runtime/transport/env_launch.c") {
        complain(FNR, "getenv", "only runtime/config.c, runtime/base/log.c and " \
                                "runtime/transport/env_launch.c read the environment")
    }
    if (code ~ (call "(s?rand|s?random|[dlm]rand48|rand_r|getrandom|arc4random)[ \t]*\\(")) {
        complain(FNR, "chance", "chance is an argument")
    }
}

# A macro is judged when its last line has been read.
function check_macro(code) {
    if (!in_macro && code ~ /^[ \t]*#[ \t]*define[ \t]/) {
        in_macro = FNR
        macro = ""
    }
    if (in_macro) {
        macro = macro " " code
        if (code !~ /\\[ \t]*$/) {
            if (macro ~ (word "(return|goto)([^A-Za-z0-9_]|$)")) {
                complain(in_macro, "macro", "a macro may not hide a return or a goto")
            }
            in_macro = 0
        }
    }
}

# #if inside a function makes two functions of one. Headers are left out: extern "C" has braces.
function check_ifdef(code,    opened, closed) {
    if (FILENAME !~ /\.c$/) {
        return
    }
    if (code ~ /^[ \t]*#/) {
        if (code ~ /^[ \t]*#[ \t]*if/ && depth > 0) {
            complain(FNR, "ifdef", "#if picks a whole function or file, not a part of one")
        }
        return
    }
    opened = gsub(/\{/, "{", code)
    closed = gsub(/\}/, "}", code)
    depth = code ~ /^\}/ ? 0 : depth + opened - closed
}

function check_width(line,    width) {
    gsub(/[\200-\277]/, "", line)
    width = length(line)
    if (width > 100) {
        complain(FNR, "width", width " columns, 100 are the most")
    }
}

# ---- Main ----------------------------------------------------------------------------------------

function end_of_file(    header, count) {
    count = 0
    for (header in vendors_here) {
        count++
        delete vendors_here[header]
    }
    if (count > 1 && file_before ~ /^(runtime\/(base|transport)|topology|collectives)\//) {
        print file_before ":1: [vendor] one vendor header a file, here are " count
        complaints++
    }
}

FNR == 1 {
    end_of_file()
    file_before = FILENAME
    in_comment = 0
    in_macro = 0
    depth = 0
    class_before = -1
    if ($0 !~ /^\/\* SPDX-License-Identifier: BSD-3-Clause/) {
        complain(1, "spdx", "the first line is /* SPDX-License-Identifier: BSD-3-Clause")
    }
}
{
    check_width($0)
    was_comment = in_comment
    code = code_of($0)
    if (!was_comment && $0 ~ /^[ \t]*#[ \t]*include[ \t]*["<]/) {
        check_include($0)
        next
    }
    check_macro(code)
    check_words(code)
    check_ifdef(code)
}

END {
    end_of_file()
    exit complaints > 0
}
