# What `cmake --install` puts where: libraries, public headers, the manual page, and the files by
# which CMake and pkg-config find them again. (bench/ installs its command.) Nothing in them names
# the prefix, so the tree may be moved.
include(CMakePackageConfigHelpers)

install(TARGETS wirewise_shared wirewise_archive EXPORT wirewise-targets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

# <wirewise/mpi.h> is a promise that only a build with MPI can keep; <wirewise/ucx.h> and
# <wirewise/cuda.h> likewise.
file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/wirewise/*.h)
if(NOT WIREWISE_HAVE_MPI)
    list(REMOVE_ITEM headers ${PROJECT_SOURCE_DIR}/include/wirewise/mpi.h)
endif()
if(NOT WIREWISE_HAVE_CUDA)
    list(REMOVE_ITEM headers ${PROJECT_SOURCE_DIR}/include/wirewise/cuda.h)
endif()
if(NOT WIREWISE_HAVE_UCX)
    list(REMOVE_ITEM headers ${PROJECT_SOURCE_DIR}/include/wirewise/ucx.h)
endif()
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wirewise)

if(EXISTS ${PROJECT_SOURCE_DIR}/docs/wirewise.1)
    install(FILES ${PROJECT_SOURCE_DIR}/docs/wirewise.1
            DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/wirewise)
install(EXPORT wirewise-targets NAMESPACE wirewise:: DESTINATION ${config_folder})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/wirewise-config.cmake.in
                              ${PROJECT_BINARY_DIR}/wirewise-config.cmake
                              INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wirewise-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wirewise-config.cmake
              ${PROJECT_BINARY_DIR}/wirewise-config-version.cmake
        DESTINATION ${config_folder})

# pkg-config: folders relative to the .pc file where they lie under the prefix.
set(pc_folder ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pc_to_prefix ${pc_folder} ${CMAKE_INSTALL_PREFIX})
set(PC_PREFIX "\${pcfiledir}/${pc_to_prefix}")
foreach(kind LIB INCLUDE)
    set(PC_${kind}DIR ${CMAKE_INSTALL_${kind}DIR})
    if(NOT IS_ABSOLUTE "${PC_${kind}DIR}")
        set(PC_${kind}DIR "\${prefix}/${PC_${kind}DIR}")
    endif()
endforeach()
string(REGEX REPLACE "/$" "" PC_PREFIX "${PC_PREFIX}")
set(PC_LIBS_PRIVATE "${CMAKE_THREAD_LIBS_INIT} -pthread -lm")
if(WIREWISE_HAVE_MPI)
    list(JOIN MPI_C_LIBRARIES " " mpi_libraries)
    string(APPEND PC_LIBS_PRIVATE " ${mpi_libraries} ${MPI_C_LINK_FLAGS}")
endif()
if(WIREWISE_HAVE_HWLOC)
    string(APPEND PC_LIBS_PRIVATE " -lhwloc")
endif()
if(WIREWISE_HAVE_CUDA)
    string(APPEND PC_LIBS_PRIVATE " -lrt") # for CUDA's runtime, which is inside
endif()
foreach(library ${CMAKE_DL_LIBS})
    string(APPEND PC_LIBS_PRIVATE " -l${library}")
endforeach()
string(APPEND PC_LIBS_PRIVATE " ${stays}") # for plugins with the archive inside
string(STRIP "${PC_LIBS_PRIVATE}" PC_LIBS_PRIVATE)
configure_file(${PROJECT_SOURCE_DIR}/cmake/wirewise.pc.in ${PROJECT_BINARY_DIR}/wirewise.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wirewise.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
