/* Lathe's C ABI: equations of linear attention to kernels for this CPU or a GPU, from any language.
 *
 *     text -- lathe_compile --> lathe_variant -- lathe_prepare --> lathe_kernel -- lathe_launch
 *
 * A variant is an equation, for any sizes. A kernel is one pass of it, made for one device, dims
 * and dtypes, for any batch, tokens and heads. Preparing does everything that may take long
 * (compiling, loading, tuning); a launch only checks its tensors and runs.
 *
 * Tensors are DLTensors, borrowed for the call: shapes as lathe_kernel_json says, strides in
 * elements, or null where the tensor is dense, last axis fastest.
 *
 * Every function is safe to call from several threads at once, also on the same handle, as long as
 * none frees it meanwhile. A process that was forked may go on using the CPU; CUDA cannot be used
 * in it once its parent has. None lets an exception out, and none aborts on a bad argument: what
 * fails says so by its status, and lathe_last_error gives the text.
 *
 * The environment (LATHE_CACHE_DIR, LATHE_NVRTC_PATH, LATHE_LOG and others) is described in
 * docs/runtime.md. */
#pragma once

#include <dlpack/dlpack.h>

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
extern "C" {
#else
#include <stddef.h>
#include <stdint.h>
#endif

#if defined(__GNUC__)
#define LATHE_API __attribute__((visibility("default")))
#else
#define LATHE_API
#endif

/* NOLINTBEGIN(readability-identifier-naming): the names are those of C. */

/* Of this header. It changes when a program that was built with an older header cannot go on with a
 * newer library; the soname of the library carries it too. */
#define LATHE_ABI_VERSION 1

/* What a function returns. Numbers are never given another meaning. */
typedef enum lathe_status {
  LATHE_OK = 0,
  LATHE_ERROR_ARGUMENT = 1,    /* An argument, option or tensor breaks a rule; nothing was done. */
  LATHE_ERROR_SPEC = 2,        /* The text of a spec has a mistake: file, line, column, caret. */
  LATHE_ERROR_UNSUPPORTED = 3, /* Right, but no kernel of this library computes it there. */
  LATHE_ERROR_DEVICE = 4,      /* No GPU, driver or NVRTC, or one of them refused. */
  LATHE_ERROR_MEMORY = 5,      /* Out of memory. */
  LATHE_ERROR_INTERNAL = 6     /* A mistake of this library. */
} lathe_status;

typedef enum lathe_pass {
  LATHE_FORWARD = 0,
  LATHE_BACKWARD = 1, /* The gradients of inputs, params, consts and initial states. CPU only. */
  LATHE_STEP = 2      /* Forward for few tokens of a sequence, 1 to 8: decoding. */
} lathe_pass;

typedef enum lathe_tuning {
  LATHE_TUNING_OFF = 0,    /* As if nothing had ever been tuned: the choice of the model. */
  LATHE_TUNING_LOOKUP = 1, /* What was tuned for about this shape, if anything was: the default. */
  LATHE_TUNING_TUNE = 2    /* Measure what was never tuned for this shape, and remember it. */
} lathe_tuning;

typedef struct lathe_variant lathe_variant;
typedef struct lathe_kernel lathe_kernel;

/* LATHE_ABI_VERSION of the library. */
LATHE_API int32_t lathe_abi_version(void);

/* Of the library: "0.1.0". Static. */
LATHE_API const char* lathe_version(void);

/* The text of what failed last on this thread: what was asked, what it was, what it must be; ""
 * where nothing has. Calls that succeed leave it. Valid until the next call of this thread that
 * fails. */
LATHE_API const char* lathe_last_error(void);

/* Compiles the text of a spec (docs/language.md).
 *   text       one or more variants, UTF-8
 *   file_name  what messages call it; null: "spec"
 *   name       which variant of the text; null: the only one
 *   variant    gets a handle for lathe_variant_free; null after an error
 * ARGUMENT: null text, several variants and no name, none of that name. SPEC: a mistake in the
 * text; the message shows every one, with its line and a caret below it. */
LATHE_API lathe_status lathe_compile(const char* text, const char* file_name, const char* name,
                                     lathe_variant** variant);

/* As lathe_compile, of a variant of the library by its name: "gla". It is looked for in the folder
 * that LATHE_VARIANTS names, if it does, then among those that travel in this library.
 * ARGUMENT: unknown names; the message lists the known ones. */
LATHE_API lathe_status lathe_load(const char* name, lathe_variant** variant);

/* What a variant is, as a JSON object. Valid as long as the handle; null, and an error, for a null
 * handle.
 *   name      "gla"
 *   file      as given to lathe_compile
 *   text      the whole text
 *   dims      ["K", "V"]: names of the dimensions that lathe_prepare needs sizes of
 *   derived   [{"dim": "F", "function": "taylor2", "from": "K"}]: sizes that follow from others and
 *             may be left out
 *   even      ["K"]: dims whose size must be even
 *   operands  in the order of the spec, states last: [{"name": "g", "kind": "input" | "param" |
 *             "constant" | "output" | "state", "dims": ["K"], "log": true}]; log: a log-decay
 *   remarks   [{"line": 8, "column": 3, "text": "..."}]: what the compiler says of it
 *   warnings  the same, of what is probably a mistake
 *   passes    {"cpu": ["forward", "backward", "step"], "cuda": ["forward", "backward", "step"]}
 *   no_cuda   only where cuda has no forward pass: why
 * `operands` are as written. Kernels of a variant whose input gate is exponential keep other states
 * (scaled, and one more, their maximum): lathe_kernel_json lists what a launch takes. */
LATHE_API const char* lathe_variant_json(const lathe_variant* variant);

/* Kernels that were prepared from it stay. Null is allowed. */
LATHE_API void lathe_variant_free(lathe_variant* variant);

/* What a kernel is made for. Start from LATHE_OPTIONS_INIT. */
typedef struct lathe_options {
  size_t struct_size; /* sizeof(lathe_options). */
  int32_t pass;       /* lathe_pass */
  DLDevice device;    /* kDLCPU 0, or kDLCUDA and which. */
  const char* dims;   /* "K=128,V=64": every dim of the variant but derived ones. */
  /* "bf16" or "bf16,g=f32": of inputs and outputs, and exceptions by name, among them params and,
   * on CUDA, states, which are f32 otherwise. bf16, f16, f32. Null: f32. Gradients have the dtype
   * of what they belong to; those of params, consts and states are f32. */
  const char* dtypes;
  /* The shape to be fastest for: sequences, tokens of each, heads. A launch may have any other. 0:
   * 1, 1024 (step: 1) and 8. */
  int64_t batch, tokens, heads;
} lathe_options;

#define LATHE_OPTIONS_INIT {sizeof(lathe_options), LATHE_FORWARD, {kDLCPU, 0}, 0, 0, 0, 0, 0}

/* Makes a kernel, or finds it: handles of equal options share one, as long as one of them lives. On
 * CUDA its code goes to the cache on disk and comes from there, and it is loaded into the context
 * that is current on this GPU, else its primary one: prepare before a stream captures a graph.
 *   kernel  gets a handle for lathe_kernel_free; null after an error
 * ARGUMENT: a null pointer, another struct_size, an unknown pass or device, missing or unknown dims
 * or dtypes, negative shapes. UNSUPPORTED: no kernel of that pass there. DEVICE: no GPU, no NVRTC,
 * or the driver refuses. */
LATHE_API lathe_status lathe_prepare(const lathe_variant* variant, const lathe_options* options,
                                     lathe_kernel** kernel);

/* What a kernel is and what its launch takes, as a JSON object. Valid as long as the handle; null,
 * and an error, for a null handle.
 *   variant    "gla"
 *   pass       "forward" | "backward" | "step"
 *   device     {"type": "cpu" | "cuda", "id": 0}
 *   dims       {"K": 128, "V": 64}, with derived ones
 *   tensors    in the order of lathe_call.tensors:
 *     name      "q", "initial S", "final S"; of a gradient "d.q", "d.initial S", "d.final S"
 *     operand   the name in the spec: "S"
 *     role      "input" | "param" | "output" | "initial state" | "final state", and of a backward
 *               pass "cotangent" (of an output: read), "state cotangent" (of a final state: read),
 *               "gradient" (of an input or param: written), "constant gradient" (one f32 number, no
 *               axes: written), "state gradient" (of an initial state: written)
 *     dtype     "f32" | "bf16" | "f16"
 *     axes      ["batch", "tokens", "heads", "K"]; of states ["sequences", "heads", "K", "V"]; of
 *               params ["heads", "K"]
 *     sizes     [null, null, null, 128]; null: as the call has it
 *     written   whether the launch writes it; else it only reads
 *     optional  whether it may be null in a call: an initial state is then zero, a cotangent zero,
 *               and what is written not wanted
 *   constants  in the order of lathe_call.constants: [{"name": "scale", "default": 0.088}]
 *   family     "scan" | "step" | "sequential"; of the CPU "tokens"
 *   tile       as docs/tuning.md writes it; of the CPU "2 threads, slice 64"; "" for the default
 *   choice     of the tile: "tuned" | "nearby" | "model"
 *   origin     of the code: "memory" | "disk" | "compiled", when this kernel was first made */
LATHE_API const char* lathe_kernel_json(const lathe_kernel* kernel);

/* The name of the tensor at a place of lathe_call.tensors, for programs that read no JSON; null
 * behind the last one. Valid as long as the handle; null, and an error, for a null handle. */
LATHE_API const char* lathe_tensor_name(const lathe_kernel* kernel, size_t index);

/* Null is allowed. On CUDA, code stays loaded for the life of the process, as graphs may hold it.
 */
LATHE_API void lathe_kernel_free(lathe_kernel* kernel);

/* One launch. Start from LATHE_CALL_INIT. Nothing of it is kept.
 *
 * Inputs may have fewer heads than the others, which they divide. Any strides will do for batch,
 * tokens and heads, also 0 of what is read; the axes behind them are dense on CUDA (the two of a
 * state in either order), and on the CPU the last one is. What is written may not overlap another
 * tensor, but for a state whose final value may be the memory of its initial one, where the kernel
 * allows that. */
typedef struct lathe_call {
  size_t struct_size;             /* sizeof(lathe_call). */
  const DLTensor* const* tensors; /* In the order of lathe_kernel_json; null where it may be. */
  size_t tensor_count;            /* As many as that has. */
  const double* constants;        /* In the order of lathe_kernel_json; null: the defaults. */
  size_t constant_count;          /* 0, or as many as that has. */
  /* int32 or int64 [sequences + 1], on the device of the kernel; null: a sequence is a row of the
   * batch. Else batch is 1 and sequence n has the tokens from cu_seqlens[n] to cu_seqlens[n + 1].
   * The numbers are checked on the CPU; on CUDA nobody reads them before the kernel does. */
  const DLTensor* cu_seqlens;
  /* CUDA: int32 or int64 [sequences]; null: state n is that of sequence n. Else states are pools
   * [rows, heads, dims] and sequence n has row slots[n], where not negative. */
  const DLTensor* slots;
  void* workspace; /* lathe_workspace says how much; null where that is 0. */
  size_t workspace_bytes;
  int32_t threads; /* CPU: how many to use; 0: as tuned, else one for each processor. */
} lathe_call;

#define LATHE_CALL_INIT {sizeof(lathe_call), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* The bytes of workspace that this launch needs, of the memory of the kernel's device, aligned to
 * 256 bytes; often 0, and always on the CPU. The first 65536 of them must be zero before their
 * first use, and each launch leaves them zero: launches that follow each other on a stream may
 * share one workspace, those that may run at the same time may not. Looks at the tensors as
 * lathe_launch does, but not at the workspace. ARGUMENT as lathe_launch. */
LATHE_API lathe_status lathe_workspace(const lathe_kernel* kernel, const lathe_call* call,
                                       size_t* bytes);

/* Runs. On CUDA, the launch goes to `stream` (a cudaStream_t or CUstream; null: the default stream)
 * and returns at once; it allocates nothing, waits for nothing, and may be captured in a graph. On
 * the CPU it returns when all is computed, and `stream` must be null. The same tensors give the
 * same bits. ARGUMENT: a tensor is missing or breaks a rule of shape, dtype, strides or device, a
 * wrong count, too little workspace; nothing was written. DEVICE: the driver refuses. */
LATHE_API lathe_status lathe_launch(const lathe_kernel* kernel, const lathe_call* call,
                                    void* stream);

/* What later calls of lathe_prepare do, on all threads: a lathe_tuning. LATHE_TUNING=off in
 * the environment wins. ARGUMENT: no such mode. */
LATHE_API lathe_status lathe_set_tuning(int32_t mode);

/* The cache of GPU code on disk, as a JSON object: {"folder": "/home/...", "mode": "rw" | "ro" |
 * "off", "kernels": 12, "bytes": 123456, "max_bytes": 2147483648}; folder null where there is none.
 * Valid until the next call of this thread; null, and an error, where memory runs out. */
LATHE_API const char* lathe_cache_json(void);

/* Deletes what was used least recently until at most max_bytes are left, 0: everything. `freed`
 * gets the bytes that this gave back; null is allowed. ARGUMENT: there is no folder, or the cache
 * is off or read-only. */
LATHE_API lathe_status lathe_cache_prune(uint64_t max_bytes, uint64_t* freed);

/* NOLINTEND(readability-identifier-naming) */

#ifdef __cplusplus
}
#endif
