# How tests are declared. Labels say what a test enters: unit, plans, sim, kernels, mpi, ...; beside
# it "threads" for what ThreadSanitizer should see and "long" for what takes more than seconds.

set(criterion_found "")
if(PkgConfig_FOUND)
    pkg_check_modules(CRITERION QUIET IMPORTED_TARGET GLOBAL criterion)
endif()
if(CRITERION_FOUND)
    set(WIREWISE_HAVE_CRITERION ON)
    wirewise_summary(Criterion AUTO "Criterion ${CRITERION_VERSION}" "unit tests")
else()
    set(WIREWISE_HAVE_CRITERION OFF)
    wirewise_summary(Criterion AUTO "not found"
                     "unit tests are SKIPPED (apt-get install libcriterion-dev pkg-config)")
endif()

# What most of them need, compiled once.
if(WIREWISE_HAVE_CRITERION)
    set(support ${PROJECT_SOURCE_DIR}/tests/support)
    add_library(test_support STATIC EXCLUDE_FROM_ALL ${support}/capture.c ${support}/comma.c
                ${support}/world.c)
    wirewise_compile_options(test_support)
    target_include_directories(test_support PRIVATE ${PROJECT_SOURCE_DIR}/include ${support}
                               ${PROJECT_SOURCE_DIR}/runtime)
    target_link_libraries(test_support PRIVATE PkgConfig::CRITERION)
endif()

# wirewise_watched(OUT SECONDS): what goes before the command of a test that ctest ends after so
# many seconds; shortly before, it tells where the test hangs.
function(wirewise_watched out seconds)
    math(EXPR limit "${seconds} * 9 / 10")
    set(${out} bash ${PROJECT_SOURCE_DIR}/tests/support/watched.sh ${limit} PARENT_SCOPE)
endfunction()

# Builds what ThreadSanitizer should see.
add_custom_target(threads_tests)

# wirewise_unit_test(NAME SOURCES... [LINK targets...] [LABELS labels...] [TIMEOUT seconds])
# One Criterion program and one ctest entry. It may enter every room. Without LABELS it is "unit".
# One test at a time within the program: ctest keeps the cores busy.
function(wirewise_unit_test name)
    if(NOT WIREWISE_HAVE_CRITERION)
        return()
    endif()
    cmake_parse_arguments(TEST "" "TIMEOUT" "LINK;LABELS" ${ARGN})
    if(NOT TEST_LABELS)
        set(TEST_LABELS unit)
    endif()
    if(NOT TEST_TIMEOUT)
        set(TEST_TIMEOUT 120)
    endif()
    set(top ${PROJECT_SOURCE_DIR})
    add_executable(${name} ${TEST_UNPARSED_ARGUMENTS})
    if(WIREWISE_SANITIZE MATCHES "thread" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        target_sources(${name} PRIVATE ${top}/tests/support/tsan_arena.c)
    endif()
    wirewise_compile_options(${name})
    target_include_directories(${name} PRIVATE ${top}/include ${top}/runtime ${top}/collectives
                               ${top}/topology ${top}/tests/support)
    target_link_libraries(${name} PRIVATE ${TEST_LINK} test_support wirewise_static
                          PkgConfig::CRITERION Threads::Threads m)
    wirewise_watched(watched ${TEST_TIMEOUT})
    add_test(NAME ${name} COMMAND ${watched} $<TARGET_FILE:${name}> --jobs 1 --color=never)
    set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT ${TEST_TIMEOUT})
    if("threads" IN_LIST TEST_LABELS)
        add_dependencies(threads_tests ${name})
    endif()
    if(WIREWISE_SANITIZE)
        # A leak is found when a test has passed already: Criterion prints it and is content.
        set_tests_properties(${name} PROPERTIES FAIL_REGULAR_EXPRESSION
                             "(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")
    endif()
endfunction()

# wirewise_large_pages(NAME): the library within this test sees a kernel with pages of 64 KiB.
function(wirewise_large_pages name)
    if(TARGET ${name})
        target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/large_pages.c)
        target_link_options(${name} PRIVATE
                            LINKER:--wrap=sysconf,--wrap=mmap,--wrap=munmap,--wrap=madvise)
    endif()
endfunction()

# wirewise_threads(NAME): this test may use threads.h.
function(wirewise_threads name)
    if(TARGET ${name})
        target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/threads.c)
        target_link_options(${name} PRIVATE
                            LINKER:--wrap=pthread_create,--wrap=sched_getaffinity)
    endif()
endfunction()

# wirewise_allocations(NAME): this test may use allocations.h.
function(wirewise_allocations name)
    if(TARGET ${name})
        target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/allocations.c)
        target_link_options(${name} PRIVATE LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc)
    endif()
endfunction()
