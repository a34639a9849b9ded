# What every file is compiled with, and what a room is.

include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)

# Hardening that costs nothing measurable, as far as compiler and linker know it.
check_c_compiler_flag(-fstack-protector-strong WIREWISE_HAVE_STACK_PROTECTOR)
check_linker_flag(C "-Wl,-z,relro,-z,now" WIREWISE_HAVE_RELRO_NOW)
set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_c_source_compiles("#include <string.h>
int main(int count, char **words) { char to[64]; strncpy(to, words[0], 63); return count + to[0]; }"
                        WIREWISE_HAVE_FORTIFY_3)
unset(CMAKE_REQUIRED_FLAGS)

set(WIREWISE_HARDENING)
if(NOT WIREWISE_SANITIZE)
    set(fortify 2)
    if(WIREWISE_HAVE_FORTIFY_3)
        set(fortify 3)
    endif()
    # The checks need an optimiser: without one the C library only warns.
    set(optimised $<CONFIG:Release,RelWithDebInfo,MinSizeRel>)
    list(APPEND WIREWISE_HARDENING $<${optimised}:-U_FORTIFY_SOURCE>
         $<${optimised}:-D_FORTIFY_SOURCE=${fortify}>)
    if(WIREWISE_HAVE_STACK_PROTECTOR)
        list(APPEND WIREWISE_HARDENING -fstack-protector-strong)
    endif()
endif()

# libwirewise.a makes inner names local, which only works in machine code: with -flto from outside,
# gcc writes that beside its own language, for others the rooms do without.
set(WIREWISE_MACHINE_CODE $<IF:$<C_COMPILER_ID:GNU>,-ffat-lto-objects,-fno-lto>)

# Results must not depend on the instruction set: no contraction of a*b+c. And -ffast-math, which
# may stand in CFLAGS or be what a compiler does by itself, leaves NaNs out and sums in another
# order: it is taken back. (clang warns where contraction is turned off behind that.)
set(WIREWISE_EXACT -ffp-contract=off -fno-fast-math -fno-finite-math-only
                   -fno-unsafe-math-optimizations)

set(WIREWISE_WARNINGS -Wall -Wextra -Wshadow -Wvla -Wpointer-arith
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
function(wirewise_compile_options target)
    target_compile_options(${target} PRIVATE ${WIREWISE_WARNINGS} ${WIREWISE_EXACT}
                           ${WIREWISE_HARDENING} ${WIREWISE_MACHINE_CODE}
                           $<$<BOOL:${WIREWISE_WERROR}>:-Werror>)
    target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
    if(WIREWISE_HAVE_RELRO_NOW)
        target_link_options(${target} PRIVATE -Wl,-z,relro,-z,now)
    endif()
    if(WIREWISE_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${WIREWISE_SANITIZE}
                               -fno-omit-frame-pointer -fno-sanitize-recover=all)
        target_link_options(${target} PRIVATE -fsanitize=${WIREWISE_SANITIZE})
    endif()
endfunction()

# wirewise_room(NAME SOURCES ... [INCLUDES ...] [LINK ...])
# An OBJECT library that sees include/ and the folders named in INCLUDES, nothing else: a wrong
# #include does not compile. LINK names imported targets whose headers the room may use.
function(wirewise_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;INCLUDES;LINK" ${ARGN})
    add_library(wirewise_${name} OBJECT ${ROOM_SOURCES})
    target_include_directories(wirewise_${name} PRIVATE ${PROJECT_SOURCE_DIR}/include
                                                        ${ROOM_INCLUDES})
    wirewise_compile_options(wirewise_${name})
    if(ROOM_LINK)
        target_link_libraries(wirewise_${name} PRIVATE ${ROOM_LINK})
    endif()
    set_property(GLOBAL APPEND PROPERTY WIREWISE_ROOMS wirewise_${name})
endfunction()
