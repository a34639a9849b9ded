/* SPDX-License-Identifier: BSD-3-Clause
 * mpi.h: makes a world from an MPI communicator. The only public header that needs <mpi.h>. */
#ifndef WIREWISE_MPI_H
#define WIREWISE_MPI_H

#include <mpi.h>
#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fills *world with the communicator's rank and size, an all_gather over it, and the MPI
 * transport. The communicator stays the program's and must outlive every context made from
 * *world; contexts talk over duplicates of their own.
 * MPI cannot take messages back: after a failed call or step its memory may still be read and
 * written until MPI_Finalize returns. A warning says when that is so.
 * Thread   one that may call MPI. So it is for later calls where messages go over MPI, as these
 *          call it on their own thread: below MPI_THREAD_SERIALIZED make all of them on the thread
 *          that initialised MPI (a warning tells of another one), at that level none beside an MPI
 *          call of the program's. MPI_THREAD_MULTIPLE allows all that wirewise.h does.
 * Returns  WW_OK; WW_BAD_STATE when MPI is not initialised or already finalised;
 *          WW_BAD_ARGUMENT for MPI_COMM_NULL, an inter-communicator or a NULL world.
 * A library that was built without MPI has neither this function nor this header. */
WW_API enum ww_status ww_mpi_world(MPI_Comm communicator, struct ww_world *world);

#ifdef __cplusplus
}
#endif
#endif
