/* SPDX-License-Identifier: BSD-3-Clause
 * cuda.h: gradients on GPUs. It needs no header of CUDA's: a stream is a cudaStream_t.
 *
 *     ww_context_create(&world, &config, &context);
 *     ww_cuda_attach(context, device, stream);         // before ww_tensors_commit
 *     ww_tensor_add ... ww_tensors_commit, then per step, as without a GPU:
 *     ww_step_begin, ww_tensor_start(tensor, device memory), ww_tensor_wait, ww_step_end
 *
 * Everything is in the order of the stream: ww_tensor_start takes a gradient that work enqueued
 * before it makes; work enqueued behind ww_tensor_wait or ww_step_end finds the result. Neither
 * waits for the GPU. What the calls do wait for is the other ranks' calls: a collective is enqueued
 * once all ranks have agreed on it, so that nothing is ever reduced that does not belong together.
 *
 * Messages travel by NCCL, which is loaded when it is needed (the config's `nccl`); plain sums of
 * fp32, fp64 and integers by NCCL's own collectives, all else, encoded buckets and 16-bit types
 * among them, by this library's plans and kernels. Where NCCL cannot be had on every rank, or a GPU
 * is too old for these kernels, gradients are staged through the host's memory and travel as those
 * of hosts do; rank 0 says so in a warning, and results then are there once ww_tensor_wait or
 * ww_step_end returns.
 *
 * Not on GPUs: staleness, momentum, clip_norm and shadows (refused with a sentence). Top-k sends
 * the same number of every 65536 values (topk:D is topk:D:fixed), since a stream cannot wait for
 * lengths. In a report communication_s is the time that buckets took on the GPU in the step
 * timed_step, the latest one that the GPU had finished; ranks may tell of different ones, so
 * whether a step is discarded (ww_step_discard) is for its results to say. */
#ifndef WIREWISE_CUDA_H
#define WIREWISE_CUDA_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st; /* a cudaStream_t points to one */

/* Says that this context's tensors are memory of a GPU. All ranks call it, once, between
 * ww_context_create and ww_tensors_commit; the world's all_gather is called.
 * device   as CUDA counts them in this process; several ranks on one GPU are NCCL's to refuse
 * stream   of that GPU: what the program enqueues before and behind calls of this context; must
 *          outlive it. NULL = the default stream, which stands for cudaStreamPerThread, too
 * Thread   any; no call leaves another GPU current than it found.
 * Returns  WW_OK; WW_BAD_ARGUMENT; WW_BAD_STATE (committed, or attached already); WW_UNSUPPORTED
 *          (no GPU, no driver, settings that GPUs do not know); WW_PEER_FAILED (another rank could
 *          not); WW_TRANSPORT_FAILED, WW_TIMED_OUT, WW_NO_MEMORY. But for WW_BAD_STATE the context
 *          is then broken, on all ranks.
 * A library that was built without CUDA has neither these functions nor this header. */
WW_API enum ww_status ww_cuda_attach(struct ww_context *context, int device,
                                     struct CUstream_st *stream);

/* Single calls on device memory, in the order of the stream: they return once all ranks agreed and
 * the work is enqueued. Arguments, rules and errors as of the functions without _cuda, but for
 * the codec "auto", which is not known here; not inside of a step. A failure on the way (a rank
 * that dies) is found by later calls, or by ww_cuda_synchronize. */
WW_API enum ww_status ww_cuda_all_reduce(struct ww_context *context, const void *input,
                                         void *output, size_t count, enum ww_type type,
                                         enum ww_op op);
WW_API enum ww_status ww_cuda_all_reduce_coded(struct ww_context *context, const float *input,
                                               float *output, size_t count, enum ww_op op,
                                               const char *codec, float *residual);
WW_API enum ww_status ww_cuda_reduce_scatter(struct ww_context *context, const void *input,
                                             void *output, size_t count, enum ww_type type,
                                             enum ww_op op);
WW_API enum ww_status ww_cuda_all_gather(struct ww_context *context, const void *input,
                                         void *output, size_t count, enum ww_type type);
WW_API enum ww_status ww_cuda_broadcast(struct ww_context *context, void *values, size_t count,
                                        enum ww_type type, int root);

/* Waits until the GPU has finished all that was enqueued on the context's stream, as
 * cudaStreamSynchronize does; but a collective that does not end within timeout_s is given up, and
 * a rank that failed is named. Thread   any. Returns WW_OK; the failure, which breaks the context.
 */
WW_API enum ww_status ww_cuda_synchronize(struct ww_context *context);

/* "NCCL 2.28.9 on NVIDIA H200", or how gradients travel instead. Valid until ww_context_destroy;
 * "" for a context without a GPU. */
WW_API const char *ww_cuda_describe(const struct ww_context *context);

#ifdef __cplusplus
}
#endif
#endif
