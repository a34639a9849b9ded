# Components: AUTO uses what is there, ON fails without it, OFF leaves it out. Sets
# WIREWISE_HAVE_<component> and prints, at the end of the configure step, one table of them.

# Imported targets must reach a project that takes this one in by add_subdirectory.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(PkgConfig QUIET)
find_package(Threads REQUIRED)

# One line of the table. Any folder may add one.
function(wirewise_summary component asked found use)
    foreach(cell component asked found)
        string(LENGTH "${${cell}}" length)
        set(width_component 11)
        set(width_asked 7)
        set(width_found 24)
        math(EXPR gap "${width_${cell}} - ${length}")
        if(gap LESS 1)
            set(gap 1)
        endif()
        string(REPEAT " " ${gap} space)
        string(APPEND line "${${cell}}${space}")
    endforeach()
    string(REPLACE ";" "," line "${line}${use}")
    set_property(GLOBAL APPEND PROPERTY WIREWISE_SUMMARY "${line}")
endfunction()

function(wirewise_print_summary)
    message(STATUS "wirewise ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}, "
                   "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
    get_property(lines GLOBAL PROPERTY WIREWISE_SUMMARY)
    foreach(line IN LISTS lines)
        message(STATUS "  ${line}")
    endforeach()
endfunction()

# Reads "<prefix><name> <number>" lines of a header and joins the numbers by dots.
function(wirewise_header_version result header)
    set(numbers)
    foreach(name ${ARGN})
        file(STRINGS ${header} line REGEX "^#define[ \t]+${name}[ \t]+[0-9]+" LIMIT_COUNT 1)
        if(line MATCHES "${name}[ \t]+([0-9]+)")
            list(APPEND numbers ${CMAKE_MATCH_1})
        endif()
    endforeach()
    list(JOIN numbers "." version)
    set(${result} "${version}" PARENT_SCOPE)
endfunction()

# "Open MPI 4.1.4", "MPICH 4.0.2", or the version of the standard.
function(wirewise_mpi_name result)
    set(name "MPI ${MPI_C_VERSION}")
    foreach(folder ${MPI_C_INCLUDE_DIRS})
        if(EXISTS ${folder}/mpi.h)
            wirewise_header_version(version ${folder}/mpi.h OMPI_MAJOR_VERSION
                                    OMPI_MINOR_VERSION OMPI_RELEASE_VERSION)
            file(STRINGS ${folder}/mpi.h mpich REGEX "^#define[ \t]+MPICH_VERSION[ \t]")
            if(version)
                set(name "Open MPI ${version}")
            elseif(mpich MATCHES "\"([^\"]*)\"")
                set(name "MPICH ${CMAKE_MATCH_1}")
            endif()
        endif()
    endforeach()
    set(${result} "${name}" PARENT_SCOPE)
endfunction()

# Each sets `found` to what it found, or leaves it empty.

macro(wirewise_find_mpi)
    find_package(MPI COMPONENTS C)
    if(MPI_C_FOUND)
        wirewise_mpi_name(found)
    endif()
endmacro()

# The compiler and the static runtime, which runs where there is no GPU, too. Rules of our own call
# it (WirewiseCuda.cmake): a project with the language CUDA links with C++'s library.
macro(wirewise_find_cuda)
    find_package(CUDAToolkit 12.1 QUIET) # arguments of kernels beyond 4 KiB
    if(CUDAToolkit_FOUND AND CUDAToolkit_NVCC_EXECUTABLE AND TARGET CUDA::cudart_static)
        # It needs a compiler for C++ that it knows.
        if(NOT DEFINED WIREWISE_NVCC_FAILS)
            execute_process(COMMAND ${CUDAToolkit_NVCC_EXECUTABLE} -std=c++17 -x cu -c /dev/null
                                    -o ${PROJECT_BINARY_DIR}/nvcc_works.o
                            RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
            set(WIREWISE_NVCC_FAILS "${failed}" CACHE INTERNAL "Status of nvcc")
        endif()
        if(WIREWISE_NVCC_FAILS EQUAL 0)
            set(found "CUDA ${CUDAToolkit_VERSION}")
        endif()
    endif()
endmacro()

macro(wirewise_find_ucx)
    if(PkgConfig_FOUND)
        pkg_check_modules(UCX QUIET IMPORTED_TARGET GLOBAL ucx)
    endif()
    if(UCX_FOUND)
        set(found "UCX ${UCX_VERSION}")
    endif()
endmacro()

macro(wirewise_find_nccl)
    find_path(NCCL_INCLUDE_DIR nccl.h HINTS $ENV{NCCL_HOME} $ENV{CUDA_HOME} /usr/local/cuda
              PATH_SUFFIXES include)
    mark_as_advanced(NCCL_INCLUDE_DIR)
    if(NCCL_INCLUDE_DIR)
        wirewise_header_version(nccl_version ${NCCL_INCLUDE_DIR}/nccl.h NCCL_MAJOR NCCL_MINOR
                                NCCL_PATCH)
        set(found "NCCL ${nccl_version}")
    endif()
endmacro()

# Only formats that topology/discover.c was written for.
macro(wirewise_find_hwloc)
    if(PkgConfig_FOUND)
        pkg_check_modules(HWLOC QUIET IMPORTED_TARGET GLOBAL "hwloc>=2.3" "hwloc<3")
    endif()
    if(HWLOC_FOUND)
        set(found "hwloc ${HWLOC_hwloc_VERSION}${HWLOC_VERSION}")
    endif()
endmacro()

macro(wirewise_find_jansson)
    if(PkgConfig_FOUND)
        pkg_check_modules(JANSSON QUIET IMPORTED_TARGET GLOBAL "jansson>=2.10")
    endif()
    if(JANSSON_FOUND)
        set(found "jansson ${JANSSON_VERSION}")
    endif()
endmacro()

# Its header brings the code along, so nothing is linked and nobody who installs needs it.
macro(wirewise_find_xxhash)
    find_path(XXHASH_INCLUDE_DIR xxhash.h)
    mark_as_advanced(XXHASH_INCLUDE_DIR)
    if(XXHASH_INCLUDE_DIR)
        wirewise_header_version(xxhash_version ${XXHASH_INCLUDE_DIR}/xxhash.h XXH_VERSION_MAJOR
                                XXH_VERSION_MINOR XXH_VERSION_RELEASE)
        if(xxhash_version VERSION_GREATER_EQUAL 0.8) # XXH3 is stable from there on
            set(found "xxHash ${xxhash_version}")
        endif()
    endif()
endmacro()

set(XXHASH_use "checksums of checkpoints (else CRC-64)")
set(XXHASH_package "checkpoints get CRC-64; apt-get install libxxhash-dev")
set(HWLOC_use "wirewise wires")
set(JANSSON_use "wirewise report")
set(CUDA_use "gradients on GPUs, <wirewise/cuda.h>")
set(MPI_use "transport mpi, <wirewise/mpi.h>")
set(UCX_use "transport ucx, <wirewise/ucx.h>")
set(NCCL_use "between GPUs; loaded at run time")
set(HWLOC_package "apt-get install libhwloc-dev pkg-config")
set(JANSSON_package "apt-get install libjansson-dev pkg-config")
set(MPI_package "apt-get install libopenmpi-dev openmpi-bin")
set(UCX_package "apt-get install libucx-dev pkg-config")
set(CUDA_package "NVIDIA's archive has cuda-nvcc and cuda-cudart-dev, 12.1 or later")
set(NCCL_package "apt-get install libnccl-dev (from NVIDIA's or the non-free archive)")

macro(wirewise_component component)
    set(WIREWISE_${component} AUTO CACHE STRING "Use ${component}: AUTO, ON or OFF")
    set_property(CACHE WIREWISE_${component} PROPERTY STRINGS AUTO ON OFF)
    set(asked "${WIREWISE_${component}}")
    if(NOT asked MATCHES "^(AUTO|ON|OFF)$")
        message(FATAL_ERROR "WIREWISE_${component}=${asked} is no choice: say AUTO, ON or OFF")
    endif()
    set(found "")
    if(NOT asked STREQUAL "OFF")
        string(TOLOWER ${component} lower)
        cmake_language(CALL wirewise_find_${lower})
    endif()
    set(WIREWISE_HAVE_${component} OFF)
    if(asked STREQUAL "OFF")
        wirewise_summary(${component} OFF "-" "left out")
    elseif(asked STREQUAL "ON" AND NOT found)
        message(FATAL_ERROR "WIREWISE_${component}=ON, but ${component} was not found. "
                            "Debian: ${${component}_package}")
    elseif(NOT found)
        wirewise_summary(${component} ${asked} "not found" "left out (${${component}_package})")
    else()
        set(WIREWISE_HAVE_${component} ON)
        wirewise_summary(${component} ${asked} "${found}" "${${component}_use}")
    endif()
endmacro()

wirewise_summary(component asked found "used for")
wirewise_component(MPI)
wirewise_component(UCX)
wirewise_component(NCCL)
wirewise_component(CUDA)
wirewise_component(HWLOC)
wirewise_component(JANSSON)
wirewise_component(XXHASH)
