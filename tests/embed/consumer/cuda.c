/* CUDA, on a pretended driver: what comes before a kernel runs. NVRTC is the real one. */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"

#include <sys/wait.h>
#include <unistd.h>

enum { B = 1, T = 64, H = 2, K = 32, V = 32 };

static lathe_variant* gla = NULL;

static lathe_status prepareOn(int device, lathe_pass pass, const char* dims,
                              lathe_kernel** kernel) {
  lathe_options options = LATHE_OPTIONS_INIT;
  options.pass = pass;
  options.device.device_type = kDLCUDA;
  options.device.device_id = device;
  options.dims = dims;
  options.dtypes = "bf16,g=f32";
  return lathe_prepare(gla, &options, kernel);
}

static void launches(const lathe_kernel* kernel) {
  static float memory[8][1];
  int64_t keys[] = {B, T, H, K}, states[] = {B, H, K, V};
  const DLDataType bf16 = {kDLBfloat, 16, 1};
  DLTensor own[7];
  const DLTensor* tensors[7];
  const size_t count = countOf(kernel);
  EXPECT(count == 7);
  for (size_t i = 0; i < count && i < 7; ++i) {
    const int isState = strchr(lathe_tensor_name(kernel, i), 'S') != NULL;
    own[i] = tensorOf(memory[i], 4, isState ? states : keys);
    own[i].device.device_type = kDLCUDA;
    if (!isState && i != placeOf(kernel, "g"))
      own[i].dtype = bf16;
    tensors[i] = &own[i];
  }
  lathe_call call = LATHE_CALL_INIT;
  call.tensors = tensors;
  call.tensor_count = count;
  size_t bytes = 1;
  EXPECT(lathe_workspace(kernel, &call, &bytes) == LATHE_OK);
  void* workspace = NULL;
  EXPECT(posix_memalign(&workspace, 256, bytes + 256) == 0);
  if (bytes > 0) {
    char text[128];
    snprintf(text, sizeof text, "the workspace is null; this launch needs %zu bytes", bytes);
    EXPECT_ERROR(lathe_launch(kernel, &call, NULL), LATHE_ERROR_ARGUMENT, text);
    call.workspace = workspace;
    call.workspace_bytes = bytes - 1;
    EXPECT(lathe_launch(kernel, &call, NULL) == LATHE_ERROR_ARGUMENT);
    call.workspace_bytes = bytes;
  }
  EXPECT(lathe_launch(kernel, &call, NULL) == LATHE_OK);

  const size_t q = placeOf(kernel, "q"), v = placeOf(kernel, "v");
  own[q].device.device_type = kDLCPU;
  EXPECT_ERROR(lathe_launch(kernel, &call, NULL), LATHE_ERROR_ARGUMENT,
               "argument 'q' is on the CPU; the kernel is for CUDA device 0");
  own[q].device.device_type = kDLCUDA;
  own[q].device.device_id = 1;
  EXPECT_ERROR(lathe_launch(kernel, &call, NULL), LATHE_ERROR_ARGUMENT,
               "argument 'q' is on CUDA device 1; the kernel is for CUDA device 0");
  own[q].device.device_id = 0;
  own[v].ndim = 3;
  EXPECT_ERROR(lathe_launch(kernel, &call, NULL), LATHE_ERROR_ARGUMENT,
               "argument 'v' has shape [1, 64, 2]; it must have 4 axes: [batch, tokens, heads, "
               "V=32]");
  own[v].ndim = 4;
  const double scale = 2;
  call.constants = &scale;
  call.constant_count = 1;
  EXPECT(lathe_launch(kernel, &call, NULL) == LATHE_OK);
  free(workspace);
}

/* What only the backward pass refuses. */
static void gradients(void) {
  lathe_kernel* kernel = NULL;
  EXPECT(prepareOn(0, LATHE_BACKWARD, "K=32,V=32", &kernel) == LATHE_OK);
  EXPECT(kernel && strstr(lathe_kernel_json(kernel), "\"pass\":\"backward\"") != NULL);
  EXPECT(kernel && strstr(lathe_kernel_json(kernel), "\"family\":\"sequential\"") != NULL);
  int32_t row = 0;
  const int64_t one = 1;
  const DLTensor slots = {&row, {kDLCUDA, 0}, 1, {kDLInt, 32, 1}, (int64_t*)&one, NULL, 0};
  lathe_call call = LATHE_CALL_INIT;
  call.slots = &slots;
  size_t bytes = 0;
  EXPECT_ERROR(lathe_workspace(kernel, &call, &bytes), LATHE_ERROR_ARGUMENT,
               "argument 'slots' is not null; a backward pass has no pools of states, state n is "
               "that of sequence n");
  lathe_kernel_free(kernel);
}

/* The child of a fork may use the CPU, not CUDA. */
static void forks(void) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    lathe_kernel* kernel = NULL;
    EXPECT_ERROR(prepareOn(0, LATHE_FORWARD, "K=32,V=32", &kernel), LATHE_ERROR_DEVICE,
                 "CUDA was in use before this process was forked off, and cannot be used in it; "
                 "start it anew instead (in Python: multiprocessing's start method 'spawn')");
    lathe_kernel_free(prepare("gla", LATHE_FORWARD, "K=8,V=8"));
    fflush(stdout);
    _exit(failures);
  }
  int status = -1;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char** arguments) {
  EXPECT(lathe_load("gla", &gla) == LATHE_OK);
  lathe_kernel *kernel = NULL, *again = NULL;
  if (count > 1 && strcmp(arguments[1], "absent") == 0) {
    EXPECT(prepareOn(0, LATHE_FORWARD, "K=32,V=32", &kernel) == LATHE_ERROR_DEVICE);
    EXPECT(strstr(lathe_last_error(), "there is no CUDA driver: ") == lathe_last_error());
    return finish("cuda absent");
  }
  EXPECT_ERROR(prepareOn(7, LATHE_FORWARD, "K=32,V=32", &kernel), LATHE_ERROR_DEVICE,
               "there is no GPU 7; this machine has GPUs 0 to 1");
  EXPECT(prepareOn(0, LATHE_FORWARD, "K=99999,V=32", &kernel) == LATHE_ERROR_UNSUPPORTED);
  EXPECT(strstr(lathe_last_error(), "K = 99999 has no kernel") != NULL);
  EXPECT(kernel == NULL);

  EXPECT(prepareOn(0, LATHE_STEP, "K=32,V=32", &kernel) == LATHE_OK);
  EXPECT(kernel && strstr(lathe_kernel_json(kernel), "\"family\":\"step\"") != NULL);
  EXPECT(prepareOn(0, LATHE_STEP, "K=32,V=32", &again) == LATHE_OK);
  if (!kernel || !again)
    return finish("cuda");
  launches(kernel);
  lathe_kernel_free(again);
  lathe_kernel_free(kernel);
  EXPECT(prepareOn(0, LATHE_FORWARD, "K=32,V=32", &kernel) == LATHE_OK);
  EXPECT(strstr(lathe_kernel_json(kernel), "\"family\":\"scan\"") != NULL);
  launches(kernel);
  forks();
  lathe_kernel_free(kernel);
  gradients();
  lathe_variant_free(gla);

  uint64_t freed = 0;
  EXPECT(strstr(lathe_cache_json(), "\"kernels\":6,") != NULL);
  EXPECT(lathe_cache_prune(0, &freed) == LATHE_OK && freed > 0);
  EXPECT(strstr(lathe_cache_json(), "\"kernels\":0,") != NULL);
  return finish("cuda");
}
