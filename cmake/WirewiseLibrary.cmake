# libwirewise out of the rooms' objects, three times:
#   wirewise_shared    the library; only what is marked WW_API can be seen from outside
#   wirewise_archive   libwirewise.a with the same view: one object whose inner names are local, so
#                      that they cannot collide with names of the program
#   wirewise_static    for tests, which may enter every room; never installed
get_property(rooms GLOBAL PROPERTY WIREWISE_ROOMS)
set(objects)
foreach(room ${rooms})
    list(APPEND objects $<TARGET_OBJECTS:${room}>)
endforeach()
get_property(cuda_objects GLOBAL PROPERTY WIREWISE_CUDA_OBJECTS)
set_source_files_properties(${cuda_objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
list(APPEND objects ${cuda_objects})
set(fabrics $<$<BOOL:${WIREWISE_HAVE_CUDA}>:CUDA::cudart_static>
            $<$<BOOL:${WIREWISE_HAVE_MPI}>:MPI::MPI_C>
            $<$<BOOL:${WIREWISE_HAVE_HWLOC}>:PkgConfig::HWLOC> ${CMAKE_DL_LIBS})

# What a program needs to use the library in whatever form.
function(wirewise_library target)
    target_include_directories(${target} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    if(WIREWISE_SANITIZE)
        target_link_options(${target} PUBLIC -fsanitize=${WIREWISE_SANITIZE})
    endif()
endfunction()

# A soname stands for versions that the package calls compatible: until version 1 each minor version
# may break with the one before (SameMinorVersion, WirewiseInstall.cmake).
set(compatible ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(compatible ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endif()
add_library(wirewise_shared SHARED ${objects})
wirewise_library(wirewise_shared)
set_target_properties(wirewise_shared PROPERTIES OUTPUT_NAME wirewise VERSION ${PROJECT_VERSION}
                      SOVERSION ${compatible} EXPORT_NAME wirewise)
target_link_libraries(wirewise_shared PRIVATE Threads::Threads m ${fabrics})
# A sanitizer's own symbols come with the program, not with the library.
if(NOT WIREWISE_SANITIZE)
    target_link_options(wirewise_shared PRIVATE -Wl,-z,defs)
endif()
if(WIREWISE_HAVE_RELRO_NOW)
    target_link_options(wirewise_shared PRIVATE -Wl,-z,relro,-z,now)
endif()
# MPI calls what it was given in MPI_Finalize, a handler may be kept by whoever came after it, and a
# thread be left with NCCL: so the library, or what holds the archive, stays when it is closed.
set(stays -Wl,-z,nodelete)
target_link_options(wirewise_shared PRIVATE ${stays})

add_library(wirewise_static STATIC ${objects})
wirewise_library(wirewise_static)
set_target_properties(wirewise_static PROPERTIES OUTPUT_NAME wirewise_rooms)
target_link_libraries(wirewise_static PRIVATE Threads::Threads m ${fabrics})

if(WIREWISE_HAVE_CUDA)
    add_dependencies(wirewise_shared wirewise_cuda_kernels)
    add_dependencies(wirewise_static wirewise_cuda_kernels)
    list(APPEND rooms wirewise_cuda_kernels)
    set(cuda_runtime ${CUDA_cudart_static_LIBRARY})
endif()

if(NOT CMAKE_LINKER OR NOT CMAKE_OBJCOPY)
    message(FATAL_ERROR "libwirewise.a needs ld and objcopy: install binutils")
endif()
set(merged ${PROJECT_BINARY_DIR}/wirewise.o)
add_custom_command(OUTPUT ${merged}
    COMMAND ${CMAKE_LINKER} -r -o ${merged} ${objects} ${cuda_runtime}
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden --remove-section=.gnu.lto_*
                             --remove-section=.gnu.debuglto_* ${merged}
    DEPENDS ${rooms} ${objects} COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Merging the rooms into one object")
set_source_files_properties(${merged} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(wirewise_archive STATIC ${merged})
wirewise_library(wirewise_archive)
set_target_properties(wirewise_archive PROPERTIES OUTPUT_NAME wirewise LINKER_LANGUAGE C
                      EXPORT_NAME static)
# wirewise::fabrics is MPI in the language of the program; see wirewise-config.cmake.in.
target_link_libraries(wirewise_archive INTERFACE Threads::Threads m ${CMAKE_DL_LIBS})
target_link_options(wirewise_archive INTERFACE ${stays})
if(WIREWISE_HAVE_CUDA)
    target_link_libraries(wirewise_archive INTERFACE rt) # for CUDA's runtime, which is inside
endif()
if(WIREWISE_HAVE_HWLOC)
    target_link_libraries(wirewise_archive INTERFACE $<BUILD_INTERFACE:PkgConfig::HWLOC>
                          $<INSTALL_INTERFACE:$<LINK_ONLY:wirewise::hwloc>>)
endif()
if(WIREWISE_HAVE_MPI)
    target_link_libraries(wirewise_archive INTERFACE $<BUILD_INTERFACE:MPI::MPI_C>
                          $<INSTALL_INTERFACE:$<LINK_ONLY:wirewise::fabrics>>)
endif()

add_library(wirewise::wirewise ALIAS wirewise_shared)
add_library(wirewise::static ALIAS wirewise_archive)
