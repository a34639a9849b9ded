# Kernels for GPUs: nvcc makes objects of them, which join those of the rooms. They need nothing of
# C++'s library, and are compiled once for each kind of GPU and once for those to come.
set(WIREWISE_CUDA_ARCHITECTURES 80 90 CACHE STRING "GPUs to compile for; later ones use the last")
set(WIREWISE_CUDA_OBJECTS_FROM "" CACHE PATH
    "Folder of another build of these sources whose kernels for GPUs are taken; empty = compile")

# No contraction of a*b+c, as everywhere. A kernel's handle is a static of a function that nobody
# calls, so nobody need wait for another to make it.
set(nvcc_options -std=c++17 -O3 --fmad=false
    -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
    -Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers)
foreach(architecture ${WIREWISE_CUDA_ARCHITECTURES})
    list(APPEND nvcc_options
         -gencode=arch=compute_${architecture},code=sm_${architecture})
endforeach()
list(GET WIREWISE_CUDA_ARCHITECTURES -1 last)
list(APPEND nvcc_options -gencode=arch=compute_${last},code=compute_${last})
if(WIREWISE_WERROR)
    list(APPEND nvcc_options -Xcompiler=-Werror)
endif()
set(WIREWISE_NVCC_OPTIONS ${nvcc_options})

# wirewise_cuda(SOURCES... [INCLUDES folders...])
# Adds the kernels of a room to the library. Called once.
function(wirewise_cuda)
    cmake_parse_arguments(CUDA "" "" "INCLUDES" ${ARGN})
    set(includes -I${PROJECT_SOURCE_DIR}/include)
    foreach(folder ${CUDA_INCLUDES})
        list(APPEND includes -I${folder})
    endforeach()
    file(RELATIVE_PATH room ${PROJECT_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR})
    foreach(source ${CUDA_UNPARSED_ARGUMENTS})
        get_filename_component(name ${source} NAME_WE)
        if(WIREWISE_CUDA_OBJECTS_FROM)
            set(object ${WIREWISE_CUDA_OBJECTS_FROM}/${room}/${name}.cu.o)
            if(NOT EXISTS ${object})
                message(FATAL_ERROR
                        "WIREWISE_CUDA_OBJECTS_FROM names a build without ${object}: build there "
                        "before, or leave it empty, and kernels are compiled here")
            endif()
            list(APPEND objects ${object})
            continue()
        endif()
        set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.cu.o)
        add_custom_command(OUTPUT ${object}
            COMMAND ${CMAKE_C_COMPILER_LAUNCHER} ${CUDAToolkit_NVCC_EXECUTABLE}
                    ${WIREWISE_NVCC_OPTIONS} ${includes}
                    -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
            DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM
            COMMENT "Building CUDA object ${name}.cu.o")
        list(APPEND objects ${object})
    endforeach()
    add_custom_target(wirewise_cuda_kernels DEPENDS ${objects})
    set_property(GLOBAL PROPERTY WIREWISE_CUDA_OBJECTS ${objects})
endfunction()
